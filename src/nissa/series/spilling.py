"""Moves idle series out of memory, to an unnamed file in the data directory (``_fast/series_spill.pyx``).

The file has no name, so the kernel deletes it when the process ends.
"""

import tempfile
from pathlib import Path

import structlog

from nissa._fast.series import SeriesIndex
from nissa._fast.series_spill import let_go, spill_series

log = structlog.get_logger()


class Spilling:
    """One index and its file. For the thread that writes to the index."""

    def __init__(self, index: SeriesIndex, directory: Path) -> None:
        """Raises: OSError where no file can be made."""
        self._index = index
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 -- it lives as long as this
        self._spilled = False

    def step(self) -> None:
        """Spill the index if that is worth it; what is spilled and was looked at since may leave memory again."""
        if spill_series(self._index, self._file.fileno()):
            self._spilled = True
            log.info(
                "labels of idle series spilled to disk", series=self._index.known_count, active=self._index.active_count
            )
        if self._spilled:
            let_go(self._index)


def spilling_to(directory: Path, index: SeriesIndex) -> Spilling | None:
    """Spill ``index`` to a file in ``directory``; None where there can be none: idle series stay in memory then."""
    try:
        return Spilling(index, directory)
    except OSError as error:
        log.warning("cannot create the spill file; idle series stay in memory", reason=str(error))
        return None
