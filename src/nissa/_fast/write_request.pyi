import numpy as np
import numpy.typing as npt

def series_body(
    heads: list[bytes],
    which: npt.NDArray[np.int64],
    ts_ms: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
) -> bytes: ...
