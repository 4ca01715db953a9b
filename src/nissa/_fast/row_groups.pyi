from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Series: TypeAlias = npt.NDArray[np.uint32]
_Time: TypeAlias = npt.NDArray[np.int64]
_Value: TypeAlias = npt.NDArray[np.float64]
_Rows: TypeAlias = npt.NDArray[np.uint32]

class RowGroup:
    base_ms: int
    nbytes: int
    def __init__(self, ids: _Series, starts: _Rows, base_ms: int, offsets_ms: _Rows, value: _Value) -> None: ...
    def __len__(self) -> int: ...

def count_rows(groups: list[RowGroup], wanted: _Series | None, start_ms: int, end_ms: int) -> npt.NDArray[np.int64]: ...
def take_rows(
    groups: list[RowGroup], wanted: _Series | None, start_ms: int, end_ms: int
) -> tuple[_Series, _Time, _Value, npt.NDArray[np.int64], bool]: ...
