import numpy as np
import numpy.typing as npt

def group_quantiles(
    order: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    present: npt.NDArray[np.uint8],
    quantiles: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]: ...
def choose_ranked(
    order: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    present: npt.NDArray[np.uint8],
    counts: npt.NDArray[np.int64],
    largest: bool,
) -> npt.NDArray[np.uint8]: ...
