"""The head: accepted samples in memory, in order of arrival, until they are sealed into a block.

    chunks   [ 1,048,576 rows ][ 1,048,576 rows ][ 81,920 … ]      three parallel arrays each; written once, never moved
    spans    http/remote_write_1: 0…2000 | nissa/nissa_columns: 2000…2210 | …      who brought which rows
                                              ▲ visible       ▲ total
                                         durable so far    appended

The engine thread appends; the commit thread raises ``visible`` once rows are durable; readers take snapshots up to
``visible`` from any thread. Rows above ``visible`` can be given up (``truncate``) when the journal could not keep them.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.batch import Batch
from nissa.model.columns import EventBatch, SampleBatch
from nissa.store.head_index import HeadIndex

CHUNK_ROWS = 1 << 20


class Span(msgspec.Struct, gc=False):
    """Rows [first_row, first_row + rows) came from ``source``; with them ``events`` events.

    duplicates: records that came with them in packets that had come before. imports: rows that came with them and are
    older than the acceptance window, which lie apart.
    """

    first_row: int
    rows: int
    source: str
    lsn: int
    events: int
    duplicates: int = 0
    imports: int = 0

    @property
    def records(self) -> int:
        """Rows, imported rows and events."""
        return self.rows + self.imports + self.events


class Head:
    """Columns of one generation. ``last_lsn`` is that of the last frame in it, 0 while there is none."""

    def __init__(self) -> None:
        self._chunks: list[SampleBatch] = []
        self._indexes: list[HeadIndex] = []  # beside the chunks
        self._events_count = 0
        self.total = 0
        self.spans: list[Span] = []
        self.events: list[tuple[int, EventBatch]] = []  # (lsn, events)
        self.imports: list[tuple[int, SampleBatch]] = []  # (lsn, rows): sealed apart, not seen by queries until folded
        self._imports_count = 0
        self.published = (0, 0)  # (lsn, rows) up to which frames are durable; one value, for other threads read it
        self.last_lsn = 0
        self.opened_ms = 0
        self.rows_noted = 0  # by ``Arrivals``
        self._range: tuple[int, int, int] | None = None  # (rows, earliest, latest) when it was last asked for

    @property
    def empty(self) -> bool:
        """True while no frame has been added."""
        return not self.spans

    @property
    def visible(self) -> int:
        """Number of durable rows."""
        return self.published[1]

    @property
    def visible_lsn(self) -> int:
        """The last LSN known to be durable."""
        return self.published[0]

    @property
    def import_rows(self) -> int:
        """Number of rows that are sealed apart."""
        return self._imports_count

    @property
    def weight(self) -> int:
        """Weight in rows: frames and events take memory without rows too."""
        return self.total + self._imports_count + len(self.spans) + self._events_count

    def append(
        self, batch: Batch, source: str, lsn: int, events: EventBatch | None, now_ms: int, duplicates: int = 0
    ) -> None:
        """Add the rows of ``batch`` and its events, not yet visible. All of them, or none if memory is short.

        source: of the frame, as in the counters. lsn: of the frame. events: after the event filter. now_ms: receive
        time, Unix milliseconds. duplicates: rows already dropped as redelivered.
        """
        rows, first, events_count = len(batch), 0, 0 if events is None else len(events)
        while len(self._chunks) * CHUNK_ROWS < self.total + rows:
            self._add_chunk()
        while first < rows:
            place, used = divmod(self.total + first, CHUNK_ROWS)
            count = min(rows - first, CHUNK_ROWS - used)
            chunk = self._chunks[place]
            batch.copy_rows(chunk.series, chunk.ts_ms, chunk.value, used, first, count)
            first += count
        if not self.spans:
            self.opened_ms = now_ms
        self.spans.append(Span(self.total, rows, source, lsn, events_count, duplicates))
        if events is not None:
            self.events.append((lsn, events))
            self._events_count += events_count
        self.total += rows
        self.last_lsn = lsn

    def append_import(
        self, rows: SampleBatch, imports: SampleBatch, source: str, lsn: int, now_ms: int, duplicates: int = 0
    ) -> None:
        """Add the rows of an imported frame, not yet visible.

        rows: within the acceptance window. imports: older ones. source: of the frame, as in the counters. lsn: of the
        frame. now_ms: receive time, Unix milliseconds. duplicates: rows already dropped as redelivered.
        """
        first_row = self.total
        self.copy_rows(rows)
        if not self.spans:
            self.opened_ms = now_ms
        self.spans.append(Span(first_row, len(rows), source, lsn, 0, duplicates, len(imports)))
        if len(imports):
            self.imports.append((lsn, imports))
            self._imports_count += len(imports)
        self.last_lsn = lsn

    def publish(self, lsn: int, total: int) -> None:
        """Frames up to ``lsn``, which are the first ``total`` rows, are durable."""
        self.published = (lsn, total)

    @property
    def in_flight(self) -> list[Span]:
        """Spans that are not durable yet."""
        return self.spans_above(self.visible_lsn)

    def spans_above(self, lsn: int) -> list[Span]:
        """Spans of the frames above ``lsn``."""
        return self.spans[bisect_right(self.spans, lsn, key=_lsn_of) :]

    def truncate(self) -> list[Span]:
        """Give up rows that are not visible. Returns the spans lost."""
        lost = self.in_flight
        self.total = self.visible
        self.spans = self.spans[: len(self.spans) - len(lost)]
        self.events = [(lsn, events) for lsn, events in self.events if lsn <= self.visible_lsn]
        self.imports = [(lsn, rows) for lsn, rows in self.imports if lsn <= self.visible_lsn]
        self._events_count -= sum(span.events for span in lost)
        self._imports_count -= sum(span.imports for span in lost)
        self._chunks = self._chunks[: -(-self.total // CHUNK_ROWS)]
        self._indexes = self._indexes[: len(self._chunks)]
        self.last_lsn = self.spans[-1].lsn if self.spans else 0
        return lost

    def followed_by(self, later: "Head") -> "Head":
        """One head of these rows and those of ``later``; both are given up. For heads of which all is visible."""
        joined = Head()
        for batch in (*self.snapshot(), *later.snapshot()):
            joined.copy_rows(batch)
        moved = [msgspec.structs.replace(span, first_row=span.first_row + self.total) for span in later.spans]
        joined.spans, joined.events = self.spans + moved, self.events + later.events
        joined.imports = self.imports + later.imports
        joined._events_count = self._events_count + later._events_count
        joined._imports_count = self._imports_count + later._imports_count
        joined.last_lsn = max(self.last_lsn, later.last_lsn)
        joined.opened_ms = self.opened_ms if self.spans else later.opened_ms
        joined.publish(max(self.visible_lsn, later.visible_lsn), joined.total)
        return joined

    def copy_rows(self, batch: SampleBatch) -> None:
        """Add rows without a span: they count for no source."""
        first = 0
        while first < len(batch):
            place, used = divmod(self.total, CHUNK_ROWS)
            if place == len(self._chunks):
                self._add_chunk()
            chunk, end = self._chunks[place], min(len(batch), first + CHUNK_ROWS - used)
            chunk.series[used : used + end - first] = batch.series[first:end]
            chunk.ts_ms[used : used + end - first] = batch.ts_ms[first:end]
            chunk.value[used : used + end - first] = batch.value[first:end]
            self.total += end - first
            first = end

    def _add_chunk(self) -> None:
        self._indexes.append(HeadIndex())  # first: whoever sees a chunk sees its index
        self._chunks.append(_new_chunk())

    def indexes(self, chunks: int) -> tuple[HeadIndex, ...]:
        """The indexes of the first so many chunks. Any thread."""
        return tuple(self._indexes[:chunks])

    def snapshot(self, rows_max: int | None = None) -> tuple[SampleBatch, ...]:
        """The visible rows (the first ``rows_max``) as views, in order of arrival. Cost: one view per chunk."""
        visible = self.visible if rows_max is None else rows_max
        views = []
        for index, chunk in enumerate(self._chunks):
            rows = min(CHUNK_ROWS, visible - index * CHUNK_ROWS)
            if rows <= 0:
                break
            views.append(SampleBatch(chunk.series[:rows], chunk.ts_ms[:rows], chunk.value[:rows]))
        return tuple(views)

    def rows_between(self, first: int, last: int) -> Iterator[SampleBatch]:
        """Views of the rows [first, last), which are visible. Any thread."""
        for index in range(first // CHUNK_ROWS, -(-last // CHUNK_ROWS)):
            chunk, begin = self._chunks[index], index * CHUNK_ROWS
            part = slice(max(first - begin, 0), min(last - begin, CHUNK_ROWS))
            yield SampleBatch(chunk.series[part], chunk.ts_ms[part], chunk.value[part])

    def events_snapshot(self) -> list[EventBatch]:
        """The visible events, in order of arrival."""
        visible_lsn = self.visible_lsn  # first: whatever has become visible by now has its events in the list
        return [events for lsn, events in list(self.events) if lsn <= visible_lsn]

    def range_ms(self) -> tuple[int, int] | None:
        """The earliest and latest ts_ms of visible rows, None without any. Any thread. Cost: 0.5 ns per row, once."""
        visible, known = self.visible, self._range
        rows = known[0] if known else 0
        if visible > rows:
            parts = [part.ts_ms for part in self.rows_between(rows, visible)]
            ends = [int(end) for part in parts for end in (part.min(), part.max())]
            ends += known[1:] if known else ()
            self._range = known = (visible, min(ends), max(ends))
        return known[1:] if known else None

    def sources_of(self, rows: npt.NDArray[np.uint32]) -> dict[str, int]:
        """Number of these row indices that each source brought."""
        spans = list(self.spans)  # the engine may add to them meanwhile
        firsts = [span.first_row for span in spans]
        owners = np.searchsorted(firsts, rows, "right") - 1
        counts: dict[str, int] = {}
        for place, count in zip(*np.unique(owners, return_counts=True), strict=True):
            source = spans[place].source
            counts[source] = counts.get(source, 0) + int(count)
        return counts

    def sources_of_imports(self, rows: npt.NDArray[np.uint32]) -> dict[str, int]:
        """Number of these row indices, over all ``imports``, that each source brought."""
        spans = [span for span in self.spans if span.imports]
        ends = np.cumsum([span.imports for span in spans])
        owners, numbers = np.unique(np.searchsorted(ends, rows, "right"), return_counts=True)
        counts: dict[str, int] = {}
        for place, count in zip(owners.tolist(), numbers.tolist(), strict=True):
            counts[spans[place].source] = counts.get(spans[place].source, 0) + count
        return counts


def head_facts(heads: Sequence[Head], views: Sequence[tuple[SampleBatch, ...]]) -> dict[str, Any]:
    """Facts of rows in memory that a snapshot carries (``store.read.Snapshot``). views: taken of heads before."""
    indexes = tuple(index for head, view in zip(heads, views, strict=True) for index in head.indexes(len(view)))
    ranges = [found for head in heads if (found := head.range_ms()) is not None]
    head_ms = (min(first for first, _ in ranges), max(last for _, last in ranges)) if ranges else None
    return {"head_indexes": indexes, "head_ms": head_ms}


def _lsn_of(span: Span) -> int:
    return span.lsn


def _new_chunk() -> SampleBatch:
    """One allocation large enough to be made of huge pages: a fault per 4 KiB costs more than the copy into it."""
    memory = np.empty(CHUNK_ROWS * 20, np.uint8)
    ts_ms, value, series = np.split(memory, [CHUNK_ROWS * 8, CHUNK_ROWS * 16])
    return SampleBatch(series.view(np.uint32), ts_ms.view(np.int64), value.view(np.float64))
