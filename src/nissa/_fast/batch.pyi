import numpy as np
import numpy.typing as npt

from nissa.model.receipt import Example

class Batch:
    rows_max: int
    records_max: int
    samples: int
    histograms: int
    exemplars: int
    events: int
    series_new: int
    missed: int
    rows_received: int
    claim_count: int
    duplicate_rows: int
    series_seen: int
    messages: int
    parts: int
    examples: dict[str, Example]
    def __init__(self, rows_max: int = ..., records_max: int = ...) -> None: ...
    def __len__(self) -> int: ...
    def clear(self, events: int = ...) -> None: ...
    def refuse(self, reason: int, offset: int) -> None: ...
    @property
    def refused(self) -> dict[str, int]: ...
    @property
    def refused_rows(self) -> dict[str, int]: ...
    def columns(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...
    def copy_rows(
        self,
        series: npt.NDArray[np.uint32],
        ts_ms: npt.NDArray[np.int64],
        value: npt.NDArray[np.float64],
        at: int,
        first: int,
        count: int,
    ) -> None: ...
