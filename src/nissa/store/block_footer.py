"""Footers of blocks sorted by series and time, parsed once for all queries.

column 0   series    ──► per row group: lowest and highest series    ──► which row groups a question
column 1   time      ──► per row group: earliest and latest time         has to read
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from nissa.files.checked_file import CheckedReader, FileSeal
from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.errors import Damaged

if TYPE_CHECKING:
    import pyarrow.parquet as pq

FOOTERS_MAX = 1024  # parsed footers kept: about 10 KB each


class BlockFooter(NamedTuple):
    """A parsed footer: names of the columns; by row group its lowest and highest series and time, and its rows."""

    metadata: "pq.FileMetaData"
    names: tuple[str, ...]
    series_min: SeriesColumn
    series_max: SeriesColumn
    time_min: TimeColumn
    time_max: TimeColumn
    rows: npt.NDArray[np.int64]

    def groups(self, series: SeriesColumn | None, start_ms: int, end_ms: int) -> npt.NDArray[np.int64]:
        """Numbers of the row groups that may hold rows of these series in [start_ms, end_ms).

        series: ascending; None for all.
        """
        may = self.overlaps(start_ms, end_ms)
        if series is not None:
            may &= series.searchsorted(self.series_min, "left") < series.searchsorted(self.series_max, "right")
        return may.nonzero()[0]

    def overlaps(self, start_ms: int, end_ms: int) -> npt.NDArray[np.bool_]:
        """True for each row group that may hold rows in [start_ms, end_ms)."""
        return (self.time_max >= start_ms) & (self.time_min < end_ms)


@lru_cache(maxsize=FOOTERS_MAX)
def read_footer(path: str, seal: FileSeal) -> BlockFooter:
    """The footer of a file; files never change under their seal, so neither do footers. Raises: Damaged."""
    import pyarrow.parquet as pq  # heavy: the daemon receives before it is needed

    file = CheckedReader(Path(path), seal)
    try:
        metadata = pq.read_metadata(file)
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        series = [group.column(0).statistics for group in groups]
        times = [group.column(1).statistics for group in groups]
        return BlockFooter(
            metadata,
            tuple(metadata.schema.column(index).name for index in range(metadata.num_columns)),
            np.array([column.min for column in series], np.uint32),
            np.array([column.max for column in series], np.uint32),
            np.array([column.min for column in times], np.int64),
            np.array([column.max for column in times], np.int64),
            np.array([group.num_rows for group in groups], np.int64),
        )
    except BaseException as error:  # any error that Arrow raises; reported as damage, or raised as it is
        raise as_damaged(file, error) from error
    finally:
        file.close()


def as_damaged(file: CheckedReader, error: BaseException) -> BaseException:
    """The damage the file noticed, else what Arrow says of the bytes; errors that are not about bytes as they are.

    Arrow keeps an error that was raised while it read: without its traceback, whose frames would be kept as well.
    """
    if file.damage is not None:
        return file.damage.with_traceback(None)
    if isinstance(error, Damaged | FileNotFoundError | MemoryError) or not isinstance(error, Exception):
        return error
    return Damaged(str(file.path), f"not a block: {error}")
