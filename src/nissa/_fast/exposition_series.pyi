import numpy as np
import numpy.typing as npt

class ExpositionSeries:
    def __init__(self, secret: bytes) -> None: ...
    def keys(
        self, body: bytes | memoryview, openmetrics: bool, own_times: bool
    ) -> tuple[npt.NDArray[np.uint64], int]: ...
    def lines(
        self, body: bytes | memoryview, openmetrics: bool, own_times: bool, wanted: npt.NDArray[np.uint64]
    ) -> bytes: ...
