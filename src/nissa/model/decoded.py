"""What a codec is given beside the bytes, and what it gives back beside the rows."""

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.columns import EventBatch, Metadata


class Window(msgspec.Struct, frozen=True, gc=False):
    """The terms under which one frame is decoded.

    They follow from the frame and the configuration alone, so that a replay repeats them.

    minute: when the frame was received, minutes since 1970; > 0. admit_max: how many new series it may bring.
    oldest_ms, newest_ms: timestamps accepted, both inclusive.
    """

    minute: int
    admit_max: int
    oldest_ms: int
    newest_ms: int


class Decoded(msgspec.Struct, gc=False):
    """What a frame held beside samples, whose rows and counts are in the Batch.

    ignored: messages that were sound and hold nothing Nissa keeps, such as bus messages of other types. dropped: events
    that the settings drop, which are not among ``events`` any more; kept: which of those decoded are, None for all.
    duplicates: events of packets that came before, which are not either.
    """

    metadata: list[Metadata] = []
    events: EventBatch | None = None
    ignored: int = 0
    dropped: int = 0
    kept: npt.NDArray[np.bool_] | None = None
    duplicates: int = 0


NOTHING_ELSE = Decoded()
