from collections.abc import Callable

import numpy as np
import numpy.typing as npt

class Meters:
    meters_max: int
    lines: int
    malformed: int
    unsketched: int
    uncounted: int
    kind: npt.NDArray[np.uint8]
    touched: npt.NDArray[np.uint8]
    total: npt.NDArray[np.float64]
    count: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    def __init__(
        self, secret: bytes, meters_max: int = ..., buckets_max: int = ..., members_max: int = ...
    ) -> None: ...
    def add(
        self,
        data: bytes | bytearray | memoryview,
        meet: Callable[[bytes, int, bytes], int],
        event: Callable[[bytes], None],
    ) -> list[bytes]: ...
    def open_meter(self, meter: int, kind: int) -> None: ...
    def close_meters(self, meters: npt.NDArray[np.uint32]) -> None: ...
    def take_buckets(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
    def flushed(self) -> None: ...
