"""Logs lines that were refused, so many in an interval: a sender of garbage must not fill the log.

Every refusal is counted (``/api/v1/accounting``, metrics); the log shows operators what such a line looks like.
"""

from collections.abc import Iterable
from typing import Final

import structlog

INTERVAL_S: Final = 60.0
LINES_MAX: Final = 10  # in one interval

log = structlog.get_logger()


class RefusedLines:
    """The log of one source."""

    def __init__(self, path: str) -> None:
        """path: of the source in the configuration."""
        self._path = path
        self._until_s = 0.0
        self._left = 0
        self._unlogged = 0

    def note(self, lines: Iterable[tuple[str, str]], total: int, now_s: float) -> None:
        """Log some refused lines, as far as the interval has room.

        lines: (reason, text) of the first of them. total: how many there are. now_s: a clock that only goes forward,
        in seconds.
        """
        if now_s >= self._until_s:
            self._until_s, self._left = now_s + INTERVAL_S, LINES_MAX
            if self._unlogged:
                log.warning("further lines were refused", source=self._path, lines=self._unlogged)
                self._unlogged = 0
        for reason, text in lines:
            if not self._left:
                break
            self._left -= 1
            total -= 1
            log.warning("a line was refused", source=self._path, reason=reason, line=text)
        self._unlogged += max(total, 0)
