from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Columns: TypeAlias = tuple[
    npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.float64]
]

class DeltaTotals:
    series_max: int
    ttl_minutes: int
    resets: int

    def __init__(self, series_max: int = ..., ttl_minutes: int = ...) -> None: ...
    def __len__(self) -> int: ...
    def forget(self) -> None: ...
    def columns(self) -> _Columns: ...
    def restore(
        self,
        series: npt.NDArray[np.uint32],
        minutes: npt.NDArray[np.uint32],
        last_ms: npt.NDArray[np.int64],
        totals: npt.NDArray[np.float64],
    ) -> None: ...
