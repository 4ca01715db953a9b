"""Inputs of a decoder other than the bytes, and its results other than the rows."""

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.delta_totals import DeltaTotals
from nissa.model.bus_counts import BusCounts
from nissa.model.columns import EventBatch, Metadata
from nissa.model.receipt import Example
from nissa.model.text_faults import LineFault


class Window(msgspec.Struct, frozen=True, gc=False):
    """The terms under which one frame is decoded.

    They follow from the frame, the configuration and the frames before alone, so that a replay repeats them.

    minute: when the frame was received, minutes since 1970; > 0. admit_max: how many new series it may bring.
    oldest_ms, newest_ms: timestamps accepted, both inclusive. deltas: what differences are added to, changed by
    decoding; None: they are refused.
    """

    minute: int
    admit_max: int
    oldest_ms: int
    newest_ms: int
    deltas: DeltaTotals | None = None


class Decoded(msgspec.Struct, gc=False):
    """Content of a frame beside samples, whose rows and counts are in the Batch.

    ignored: messages that were sound and hold nothing Nissa keeps, such as bus messages of other types. refused: how
    many events were refused, by reason; they are not among ``events`` any more. kept: which of those decoded are, None
    for all. duplicates: events of packets that came before, which are not among ``events`` either. examples: the first
    event refused for each reason. event_reasons: uint8 for each event decoded, the number of the ``Refusal`` it met,
    255 for none; None where none met one. lines: of a body of text, those that were refused, the first of them. bus:
    messages of Esper's bus, counted; None for other codecs.
    """

    metadata: list[Metadata] = []
    events: EventBatch | None = None
    ignored: int = 0
    refused: dict[str, int] = {}
    kept: npt.NDArray[np.bool_] | None = None
    duplicates: int = 0
    examples: dict[str, Example] = {}
    event_reasons: npt.NDArray[np.uint8] | None = None
    lines: tuple[LineFault, ...] = ()
    bus: BusCounts | None = None


NOTHING_ELSE = Decoded()
