"""Progress of opening a directory: bytes of the journal replayed, out of all bytes.

The opening thread writes; any other may read, and request to cancel. If the journal is long, a line is logged at the
start, every ``LOG_BYTES``, and at the end.
"""

import threading
from pathlib import Path
from typing import Any

import structlog

from nissa.journal.recovery import segment_paths
from nissa.journal.segment import LSN_MAX, first_lsn_of
from nissa.model.errors import Unavailable
from nissa.model.units import MIB

LOG_BYTES = 128 * MIB
RETRY_S = 1

log = structlog.get_logger()


class Progress:
    """One recovery. bytes_total counts whole segments, so the last one may end early."""

    def __init__(self) -> None:
        self.bytes_total = self.bytes_done = self.frames = 0
        self._logged_bytes = 0
        self._given_up = threading.Event()

    def begin(self, journal: Path, after_lsn: int = 0) -> None:
        """A journal is about to be replayed behind ``after_lsn``; segments kept for followers only are not read."""
        paths = segment_paths(journal)
        ends = [*(first_lsn_of(path.name) or 0 for path in paths[1:]), LSN_MAX]
        sizes = [path.stat().st_size for path, end in zip(paths, ends, strict=False) if end > after_lsn + 1]
        self.bytes_total, self.bytes_done, self.frames, self._logged_bytes = sum(sizes), 0, 0, 0
        if self.bytes_total > LOG_BYTES:
            log.info("replaying the journal", bytes=self.bytes_total, segments=len(sizes))

    def advance(self, bytes_done: int, frames: int) -> None:
        """Note the bytes and frames replayed. Raises: Unavailable after a request to give up."""
        self.bytes_done, self.frames = bytes_done, frames
        if self._given_up.is_set():
            raise Unavailable("recovery was given up because the process ends", RETRY_S)
        if bytes_done - self._logged_bytes >= LOG_BYTES:
            self._logged_bytes = bytes_done
            log.info("replaying the journal", done=f"{self.percent} %", bytes=bytes_done, frames=frames)

    def end(self) -> None:
        """All of it is replayed."""
        if self._logged_bytes:
            log.info("the journal is replayed", bytes=self.bytes_done, frames=self.frames)
        self.bytes_total = self.bytes_done

    def give_up(self) -> None:
        """Ask the thread that opens to stop. From any thread."""
        self._given_up.set()

    @property
    def percent(self) -> int:
        """Percentage done, 0 to 100."""
        return min(100 * self.bytes_done // self.bytes_total, 100) if self.bytes_total else 0

    def facts(self) -> dict[str, Any]:
        """Facts for ``/api/status`` while the directory is opened."""
        return {
            "bytes": self.bytes_done,
            "bytes_total": self.bytes_total,
            "frames": self.frames,
            "percent": self.percent,
        }
