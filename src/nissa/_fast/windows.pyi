from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Time: TypeAlias = npt.NDArray[np.int64]
_Value: TypeAlias = npt.NDArray[np.float64]
_Columns: TypeAlias = tuple[_Time, _Time, _Value]
_Matrix: TypeAlias = tuple[_Value, npt.NDArray[np.uint8]]

NAMES: tuple[str, ...]
NUMBERS: dict[str, int]

def over_windows(
    name: str,
    columns: _Columns,
    at_ms: _Time,
    range_ms: int,
    first: _Value | None = None,
    second: _Value | None = None,
) -> _Matrix: ...
def look_back(columns: _Columns, at_ms: _Time, lookback_ms: int, times: bool = False) -> _Matrix: ...
def without_stale(columns: _Columns) -> _Columns: ...
def from_matrix(values: _Value, present: npt.NDArray[np.uint8], at_ms: _Time) -> _Columns: ...
