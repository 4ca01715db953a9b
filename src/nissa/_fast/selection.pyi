from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Series: TypeAlias = npt.NDArray[np.uint32]
_Time: TypeAlias = npt.NDArray[np.int64]
_Value: TypeAlias = npt.NDArray[np.float64]
_Flags: TypeAlias = npt.NDArray[np.uint8]

def select_rows(
    series: _Series, ts_ms: _Time, value: _Value, wanted: _Flags, start_ms: int, end_ms: int
) -> tuple[_Series, _Time, _Value]: ...
def against_sorted(
    series: _Series,
    ts_ms: _Time,
    value: _Value,
    block_series: _Series,
    block_ts_ms: _Time,
    block_value: _Value,
    standing: _Flags,
) -> None: ...
def first_unsorted(series: _Series, ts_ms: _Time) -> int: ...
