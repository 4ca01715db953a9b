from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Series: TypeAlias = npt.NDArray[np.uint32]
_Time: TypeAlias = npt.NDArray[np.int64]
_Value: TypeAlias = npt.NDArray[np.float64]
_Count: TypeAlias = npt.NDArray[np.uint32]
_Columns: TypeAlias = tuple[
    _Series, _Time, _Count, _Count, _Value, _Value, _Value, _Value, _Value, _Value, _Value, _Value
]
_Sketches: TypeAlias = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]

def fold_samples(
    parts: list[tuple[_Series, _Time, _Value]],
    interval_ms: int,
    wide_ms: int = 0,
    start_ms: int = ...,
    end_ms: int = ...,
) -> tuple[_Columns, _Columns | None, _Sketches | None]: ...
def fold_windows(
    columns: _Columns, sketches: _Sketches | None, interval_ms: int
) -> tuple[_Columns, _Sketches | None]: ...
def explicit_extrema(edge: _Value, first: _Value, last: _Value, largest: bool) -> tuple[npt.NDArray[np.uint8], int]: ...
