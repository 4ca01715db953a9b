import numpy as np
import numpy.typing as npt

from nissa._fast.batch import Batch

def add_message(batch: Batch, events: int, reason: int = ...) -> None: ...
def message_columns(
    batch: Batch,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint8], npt.NDArray[np.int64]]: ...
