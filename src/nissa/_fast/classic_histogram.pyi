from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Rows: TypeAlias = npt.NDArray[np.int64]
_Value: TypeAlias = npt.NDArray[np.float64]
_Marks: TypeAlias = npt.NDArray[np.uint8]

def bucket_quantiles(
    order: _Rows, starts: _Rows, bounds: _Value, values: _Value, present: _Marks, quantiles: _Value
) -> tuple[_Value, _Marks, _Marks]: ...
def bucket_fractions(
    order: _Rows, starts: _Rows, bounds: _Value, values: _Value, present: _Marks, lower: _Value, upper: _Value
) -> tuple[_Value, _Marks]: ...
