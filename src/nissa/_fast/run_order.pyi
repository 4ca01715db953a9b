from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Series: TypeAlias = npt.NDArray[np.uint32]
_Time: TypeAlias = npt.NDArray[np.int64]
_Value: TypeAlias = npt.NDArray[np.float64]

def copy_runs(
    parts: list[tuple[_Series, _Time, _Value]],
    part_of: npt.NDArray[np.uint32],
    first: npt.NDArray[np.uint32],
    end: npt.NDArray[np.uint32],
) -> tuple[_Series, _Time, _Value]: ...
