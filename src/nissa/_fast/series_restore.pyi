import numpy as np
import numpy.typing as npt

from nissa._fast.series import SeriesIndex

def restore_series(
    index: SeriesIndex,
    fingerprints: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    name_places: npt.NDArray[np.uint32],
    name_offsets: npt.NDArray[np.int64],
    names: npt.NDArray[np.uint8],
    value_places: npt.NDArray[np.uint32],
    value_offsets: npt.NDArray[np.int64],
    values: npt.NDArray[np.uint8],
    minute: int,
) -> None: ...
