"""Log output that never raises: a line that cannot be written is dropped.

A log file on a full disk cannot be written either. The thread that logs must continue, because it also refuses
frames, checks for space and resumes ingestion.
"""

from contextlib import suppress
from typing import Any

import structlog


class LossyLogger(structlog.PrintLogger):
    """Lines to a text file, as far as it takes them."""

    def msg(self, message: str) -> None:
        """Write one line, or drop it."""
        with suppress(OSError, ValueError):  # no space, a file too large, nobody reads the pipe; closed
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def lossy_loggers(file: Any) -> Any:
    """The logger_factory for ``structlog.configure``."""
    return lambda *_: LossyLogger(file)
