"""``--capture FILE``: every frame that comes in is also written to a capture, as received, before the engine judges it.

A capture is not durable: if its disk fails, recording ends and ingestion continues; after a kill the frames of about
the last second are missing.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from nissa.journal.capture import CaptureWriter
from nissa.model.frame import Frame
from nissa.model.intake import Intake, Settle
from nissa.model.units import SECOND_MS

FLUSH_INTERVAL_MS = SECOND_MS  # by the times of frames: one call per second, not per frame

log = structlog.get_logger()


class CapturingIntake:
    """An intake in front of another one. Safe to use from any thread."""

    def __init__(self, inner: Intake, path: Path, clock: Callable[[], int]) -> None:
        """clock: Unix milliseconds. Raises: FileExistsError, for a capture is never overwritten; OSError."""
        self._inner = inner
        self._path = path
        self._lock = threading.Lock()
        self._flushed_ms = clock()
        self._writer: CaptureWriter | None = CaptureWriter(path, self._flushed_ms)

    def submit(self, frame: Frame, complete: Settle) -> None:
        """Write ``frame`` down, then hand it on."""
        with self._lock:
            if self._writer is not None:
                try:
                    self._writer.append(frame)
                    if abs(frame.received_ms - self._flushed_ms) >= FLUSH_INTERVAL_MS:
                        self._writer.flush()
                        self._flushed_ms = frame.received_ms
                except OSError as error:
                    log.error(
                        "cannot write the capture; frames from now on are not in it",
                        path=str(self._path),
                        reason=str(error),
                    )
                    self._finish()
        self._inner.submit(frame, complete)

    def close(self) -> None:
        """Finish the capture file. What comes in afterwards is handed on only."""
        with self._lock:
            self._finish()

    def _finish(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except OSError as error:
            log.error(
                "cannot finish the capture; its last frames may be missing", path=str(self._path), reason=str(error)
            )

    @property
    def pressure(self) -> bool:
        """As the inner intake."""
        return self._inner.pressure

    @property
    def durability(self) -> str:
        """As the inner intake."""
        return self._inner.durability

    @property
    def ready(self) -> bool:
        """As the inner intake."""
        return self._inner.ready
