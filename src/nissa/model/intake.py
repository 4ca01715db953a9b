"""Interface of the engine for sources: accepts frames, and reports pressure and durability."""

from collections.abc import Callable
from typing import Protocol

from nissa.model.errors import NissaError
from nissa.model.frame import Frame
from nissa.model.receipt import Receipt

Outcome = Receipt | NissaError
Settle = Callable[[Outcome], None]


class Intake(Protocol):
    """The engine as an edge sees it.

    ``submit`` takes a frame and returns at once. ``complete`` is called exactly once for it, on any thread: with a
    Receipt when the frame is durable in the mode in force, with an error when nothing of it was kept.
    """

    def submit(self, frame: Frame, complete: Settle) -> None:
        """Take ``frame``; call ``complete`` when its fate is known. Never blocks."""

    @property
    def pressure(self) -> bool:
        """True while the engine's queue is full: edges stop reading their senders until it is False again."""

    @property
    def durability(self) -> str:
        """The durability mode in force: ``fsync``, ``interval:<ms>`` or ``os``."""

    @property
    def ready(self) -> bool:
        """True once recovery is done, until the drain begins."""
