"""``--capture FILE``: every frame that comes in is also written to a capture, as received, before the engine judges it."""

from collections.abc import Callable
from pathlib import Path

from nissa.model.frame import Frame
from nissa.model.intake import Intake, Settle
from nissa.store.capture import CaptureWriter


class CapturingIntake:
    """An intake in front of another one."""

    def __init__(self, inner: Intake, path: Path, clock: Callable[[], int]) -> None:
        self._inner = inner
        self._writer = CaptureWriter(path, clock())

    def submit(self, frame: Frame, settle: Settle) -> None:
        """Write ``frame`` down, then hand it on."""
        self._writer.append(frame)
        self._inner.submit(frame, settle)

    def close(self) -> None:
        """Finish the capture file."""
        self._writer.close()

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
