"""What an edge is told once a frame is durable."""

import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """Counts of what one frame brought. Sent only after the frame is durable in the mode in force.

    lsn: sequence number of the frame in the journal; 0 where nothing of it was kept.
    samples: float samples accepted (stored, or equal to one already stored).
    histograms: native histograms accepted, each as its count and sum series.
    exemplars, events, metadata: accepted of each.
    duplicates: how many of these samples and events came in packets that had come before; they are stored once.
    refused: reason -> how many samples, histograms or events were refused for it (``model.refusal``).
    """

    lsn: int = 0
    samples: int = 0
    histograms: int = 0
    exemplars: int = 0
    events: int = 0
    metadata: int = 0
    duplicates: int = 0
    refused: dict[str, int] = {}

    @property
    def refused_count(self) -> int:
        """How many records of the frame were refused, over all reasons."""
        return sum(self.refused.values())


class FoundRequest(msgspec.Struct, frozen=True):
    """Where the data of a request stands.

    kind: the longest-lived thing that came with it: event, metric or alert. lsn: of the frame that brought it first.
    durable: whether that frame would be there after a crash. known_ms: for how long it is remembered still, while
    frames arrive.
    """

    kind: str
    lsn: int
    durable: bool
    known_ms: int
