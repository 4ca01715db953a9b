"""The receipt for a frame, returned to its source once the frame is durable."""

import msgspec

from nissa.model.outcome import MessageOutcomes
from nissa.model.text_faults import LineFault


class Example(msgspec.Struct, frozen=True):
    """The first record of a frame that was refused for a reason.

    series: its labels as a selector shows them, or the id of an event; empty where that cannot be read. ts_ms: its
    time, None where it has none or it cannot be read. offset: where in the decompressed body it stands, where that is
    known.
    """

    series: str = ""
    ts_ms: int | None = None
    offset: int | None = None


class Receipt(msgspec.Struct, frozen=True):
    """Counts of what one frame brought. Sent only after the frame is durable in the mode in force.

    lsn: sequence number of the frame in the journal; 0 where nothing of it was kept.
    samples: float samples accepted (stored, or equal to one already stored).
    histograms: native histograms accepted, each as its count and sum series.
    exemplars, events, metadata: accepted of each.
    duplicates: how many of these samples and events came in packets that had come before; they are stored once.
    refused: reason -> how many samples, histograms, events, exemplars or metadata were refused for it
    (``model.refusal``). examples: reason -> the first of them.
    messages: the outcome of each message of a delimited frame; None for others.
    lines: of a body of text, the first lines that were refused, in their order.
    series_new: series that were not known before.
    """

    lsn: int = 0
    samples: int = 0
    histograms: int = 0
    exemplars: int = 0
    events: int = 0
    metadata: int = 0
    duplicates: int = 0
    refused: dict[str, int] = {}
    examples: dict[str, Example] = {}
    messages: MessageOutcomes | None = None
    lines: tuple[LineFault, ...] = ()
    series_new: int = 0

    @property
    def refused_count(self) -> int:
        """Number of refused records of the frame, over all reasons."""
        return sum(self.refused.values())


class FoundRequest(msgspec.Struct, frozen=True):
    """State of a request's data.

    kind: the longest-lived thing that came with it: event, metric or alert. lsn: of the frame that brought it first.
    durable: whether that frame would be there after a crash. known_ms: for how long it is remembered still, while
    frames arrive.
    """

    kind: str
    lsn: int
    durable: bool
    known_ms: int
