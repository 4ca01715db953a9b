"""Limits the duration of a shutdown: the process ends even if a thread is stuck.

    SIGTERM ──► drain (ingest.drain_timeout) ──► close ──► exit 0
       └──────── drain + watchdog.shutdown_timeout ──────────────► log, exit 1 ──► + 2 s: stacks to stderr, exit 1

Acknowledged records are not lost: they are in the journal. The second limit is enforced by a C thread
(``faulthandler``), for code that does not release the GIL.
"""

import faulthandler
import os
import sys
import threading
from contextlib import suppress

import structlog

from nissa.config.tree import Config
from nissa.model.units import SECOND_MS

LAST_S = 2.0
OUR_THREADS = "nissa-"

log = structlog.get_logger()


class ExitBound:
    """Set by a signal, lifted once everything is closed."""

    def __init__(self, config: Config) -> None:
        self._timeout_s = (config.ingest.drain_timeout_ms + config.watchdog.shutdown_timeout_ms) / SECOND_MS
        self._timer: threading.Timer | None = None

    def set(self) -> None:
        """Start the timer after which the process ends. A second call changes nothing."""
        if self._timer is None:
            self._timer = threading.Timer(self._timeout_s, self._end)
            self._timer.daemon = True
            self._timer.start()
            with suppress(OSError, ValueError, RuntimeError):  # without standard error the timer alone has to do
                faulthandler.dump_traceback_later(self._timeout_s + LAST_S, exit=True)

    def lift(self) -> None:
        """Everything is closed."""
        if self._timer is not None:
            self._timer.cancel()
            faulthandler.cancel_dump_traceback_later()

    def _end(self) -> None:
        names = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith(OUR_THREADS))
        log.error("shutdown timed out; exiting now, with all acknowledged data in the journal", threads=names)
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(1)
