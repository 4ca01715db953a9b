"""An engine for tests of sources: it notes frames, and completes each at once."""

from nissa.model.errors import TooLarge, Unavailable
from nissa.model.frame import Frame
from nissa.model.intake import Settle
from nissa.model.receipt import Receipt


class Intake:
    """Completes each frame at once with what ``outcomes`` says, then with a receipt."""

    durability = "fsync"
    ready = True
    pressure = False

    def __init__(self, *outcomes: Receipt | Unavailable | TooLarge) -> None:
        self.outcomes = list(outcomes)
        self.frames: list[Frame] = []

    def submit(self, frame: Frame, complete: Settle) -> None:
        """Note the frame and complete it."""
        self.frames.append(frame)
        complete(self.outcomes.pop(0) if self.outcomes else Receipt(samples=1))
