from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Series: TypeAlias = npt.NDArray[np.uint32]
_Time: TypeAlias = npt.NDArray[np.int64]
_Value: TypeAlias = npt.NDArray[np.float64]
_Rows: TypeAlias = npt.NDArray[np.uint32]
_Flags: TypeAlias = npt.NDArray[np.uint8]

class SortedRows:
    rows_total: int
    def __init__(self, parts: list[tuple[_Series, _Time, _Value]]) -> None: ...
    def next_rows(self, rows_aim: int) -> tuple[_Series, _Time, _Value, _Rows]: ...
    def dropped_rows(self) -> tuple[_Rows, _Flags]: ...

def sort_resolve(
    parts: list[tuple[_Series, _Time, _Value]],
) -> tuple[_Series, _Time, _Value, _Rows, _Flags]: ...
