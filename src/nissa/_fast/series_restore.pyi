import numpy as np
import numpy.typing as npt

from nissa._fast.series import SeriesIndex

def restore_series(
    index: SeriesIndex,
    series: npt.NDArray[np.uint32],
    fingerprints: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    name_places: npt.NDArray[np.uint32],
    name_offsets: npt.NDArray[np.int64],
    names: npt.NDArray[np.uint8],
    value_places: npt.NDArray[np.uint32],
    value_offsets: npt.NDArray[np.int64],
    values: npt.NDArray[np.uint8],
    minute: int,
    signed: bool = ...,
    known: bool = ...,
) -> None: ...
def give_out_ids(index: SeriesIndex, count: int) -> None: ...
def restore_seen(index: SeriesIndex, series: npt.NDArray[np.uint32], minutes: npt.NDArray[np.uint32]) -> None: ...
def forget_starts(index: SeriesIndex) -> None: ...
def active_series(index: SeriesIndex) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]: ...
def seen_minutes_of(index: SeriesIndex) -> npt.NDArray[np.uint32]: ...
def fingerprints_of(index: SeriesIndex, first: int, count: int) -> npt.NDArray[np.uint64]: ...
def texts_of(index: SeriesIndex, symbols: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.int64], bytes]: ...
