"""The log's last step: a line that cannot be written is dropped, and nobody hears of it.

A log that goes to a file meets the full disk just when there is most to tell. The thread that tells it must live: it is
the one that refuses, probes, and resumes once there is space.
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
    """What ``structlog.configure`` takes as logger_factory."""
    return lambda *_: LossyLogger(file)
