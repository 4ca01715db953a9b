"""The head: accepted samples in memory, in order of arrival, until they are sealed into a block.

    chunks   [ 262,144 rows ][ 262,144 rows ][ 81,920 … ]      three parallel arrays each; written once, never moved
    spans    http/remote_write_1: 0…2000 | nissa/nissa_columns: 2000…2210 | …      who brought which rows
                                              ▲ visible       ▲ total
                                         durable so far    appended

The engine thread appends; the commit thread raises ``visible`` once rows are durable; readers take snapshots up to ``visible`` from
any thread. Rows above ``visible`` can be given up (``truncate``) when the journal could not keep them.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.batch import Batch
from nissa.model.columns import EventBatch, SampleBatch

CHUNK_ROWS = 262_144


class Span(msgspec.Struct, gc=False):
    """Rows [first_row, first_row + rows) came from ``source``; with them ``events`` events."""

    first_row: int
    rows: int
    source: str
    lsn: int
    events: int


class Head:
    """Columns of one generation. ``first_lsn`` and ``last_lsn`` are those of the frames in it, 0 while there are none."""

    def __init__(self) -> None:
        self._chunks: list[SampleBatch] = []
        self.total = 0
        self.visible = 0
        self.spans: list[Span] = []
        self.events: list[tuple[int, EventBatch]] = []  # (lsn, events)
        self.visible_lsn = 0
        self.last_lsn = 0
        self.opened_ms = 0

    @property
    def empty(self) -> bool:
        """True while no frame has been added."""
        return not self.spans

    def append(self, batch: Batch, source: str, lsn: int, events: EventBatch | None, now_ms: int) -> None:
        """Add the rows of ``batch`` and the events, not yet visible."""
        if not self.spans:
            self.opened_ms = now_ms
        self.spans.append(Span(self.total, len(batch), source, lsn, 0 if events is None else len(events)))
        self.last_lsn = lsn
        if events is not None:
            self.events.append((lsn, events))
        first, left = 0, len(batch)
        while left:
            used = self.total % CHUNK_ROWS
            if used == 0:
                self._chunks.append(_new_chunk())
            chunk = self._chunks[-1]
            count = min(left, CHUNK_ROWS - used)
            batch.copy_rows(chunk.series, chunk.ts_ms, chunk.value, used, first, count)
            self.total += count
            first += count
            left -= count

    def publish(self, lsn: int, total: int) -> None:
        """Frames up to ``lsn``, which are the first ``total`` rows, are durable."""
        self.visible_lsn = lsn
        self.visible = total

    @property
    def in_flight(self) -> list[Span]:
        """Spans that are not durable yet."""
        return [span for span in self.spans if span.lsn > self.visible_lsn]

    def truncate(self) -> list[Span]:
        """Give up what is not visible. Returns the spans lost."""
        lost = [span for span in self.spans if span.lsn > self.visible_lsn]
        self.total = self.visible
        self.spans = [span for span in self.spans if span.lsn <= self.visible_lsn]
        self.events = [(lsn, events) for lsn, events in self.events if lsn <= self.visible_lsn]
        self._chunks = self._chunks[: -(-self.total // CHUNK_ROWS)]
        self.last_lsn = self.visible_lsn
        return lost

    def snapshot(self) -> tuple[SampleBatch, ...]:
        """The visible rows as views, in order of arrival. Cost: one view per chunk."""
        visible = self.visible
        views = []
        for index, chunk in enumerate(self._chunks):
            rows = min(CHUNK_ROWS, visible - index * CHUNK_ROWS)
            if rows <= 0:
                break
            views.append(SampleBatch(chunk.series[:rows], chunk.ts_ms[:rows], chunk.value[:rows]))
        return tuple(views)

    def sources_of(self, rows: npt.NDArray[np.uint32]) -> dict[str, int]:
        """How many of these row indices each source brought."""
        spans = list(self.spans)  # the engine may add to them meanwhile
        firsts = [span.first_row for span in spans]
        owners = np.searchsorted(firsts, rows, "right") - 1
        counts: dict[str, int] = {}
        for place, count in zip(*np.unique(owners, return_counts=True), strict=True):
            source = spans[place].source
            counts[source] = counts.get(source, 0) + int(count)
        return counts


def _new_chunk() -> SampleBatch:
    return SampleBatch(np.empty(CHUNK_ROWS, np.uint32), np.empty(CHUNK_ROWS, np.int64), np.empty(CHUNK_ROWS, np.float64))
