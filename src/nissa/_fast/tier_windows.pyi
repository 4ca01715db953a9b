from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Time: TypeAlias = npt.NDArray[np.int64]
_Count: TypeAlias = npt.NDArray[np.uint32]
_Value: TypeAlias = npt.NDArray[np.float64]

BEFORE_MS_MAX: int
NAMES: tuple[str, ...]
NUMBERS: tuple[str, ...]
NEEDED: dict[str, tuple[str, ...]]

def over_tier(
    name: str,
    keys: tuple[_Time, _Time, _Count, _Count],
    numbers: dict[str, _Value],
    end_ms: _Time,
    range_ms: int,
    interval_ms: int,
) -> tuple[_Value, npt.NDArray[np.uint8]]: ...
