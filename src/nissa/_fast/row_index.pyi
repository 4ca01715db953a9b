from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Series: TypeAlias = npt.NDArray[np.uint32]
_Time: TypeAlias = npt.NDArray[np.int64]
_Value: TypeAlias = npt.NDArray[np.float64]
_Rows: TypeAlias = npt.NDArray[np.uint32]

def index_rows(series: _Series) -> tuple[_Series, _Rows, _Rows]: ...
def take_indexed(
    ids: _Series,
    starts: _Rows,
    order: _Rows,
    ts_ms: _Time,
    value: _Value,
    wanted: _Series,
    start_ms: int,
    end_ms: int,
) -> tuple[_Series, _Time, _Value]: ...
