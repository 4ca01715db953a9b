"""Merges runs of events in order of time, forward or backward; a run is opened only when its time range is reached.

    places     |---- 0 ----|   |-- 2 --|          a day of blocks is some hundred files: those whose time has not
                    |---- 1 ----|   |- 3 -|       come are not open, those that are through are closed again
                          ▲
    travel  ─────────►  next hit

Events before a cursor are skipped at the start: for the millisecond of the cursor it is known how many events of each
run come before it, in order of arrival.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.files.arrow_columns import arrow_column, arrow_text
from nissa.model.allowance import Check
from nissa.model.errors import Damaged
from nissa.store.event_runs import EventRun, OnDamage, RunPlace, count_before, times_of

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_MAX = 1_024  # turned into dictionaries at a time

Flags = npt.NDArray[np.bool_]
WindowSelection = Callable[["pa.Table"], Flags]


class Conditions(Protocol):
    """Conditions of a request that are checked on each event."""

    @property
    def sources(self) -> frozenset[str]: ...
    @property
    def levels(self) -> frozenset[int]: ...
    @property
    def text(self) -> str: ...


class Travel(msgspec.Struct, frozen=True):
    """From one end of [start_ms, end_ms) to the other.

    known: how many events of the first millisecond lie before the cursor, None without one.
    """

    start_ms: int
    end_ms: int
    backward: bool
    known: int | None

    @property
    def edge_ms(self) -> int:
        """The millisecond where the travel begins."""
        return self.end_ms - 1 if self.backward else self.start_ms


class Hit(msgspec.Struct, frozen=True, gc=False):
    """An event. run: its number. rank: among those of its millisecond in its run, counted in direction of travel."""

    time_ms: int
    run: int
    rank: int
    row: dict[str, Any]


class Merge:
    """Places, and which of them are open."""

    def __init__(self, places: Sequence[RunPlace], check: Check, on_damage: OnDamage | None) -> None:
        """check: called for every piece. on_damage: without it damage is raised."""
        self._places = places
        self._check = check
        self._on_damage = on_damage
        self._open: dict[int, EventRun] = {}
        self._damaged: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in list(self._open):
            self._close(number)

    def hits(self, travel: Travel, wanted: WindowSelection, count: int) -> Iterator[Hit]:
        """Wanted events in order of travel. count: about how many will be taken. Raises: Damaged."""
        sign = -1 if travel.backward else 1
        skips = self._skips(travel)
        waiting = sorted(self._places, key=lambda place: (_near(place, travel), sign * place.number), reverse=True)
        heap: list[tuple[tuple[int, int, int], Hit, Iterator[Hit]]] = []
        while waiting or heap:
            while waiting and (not heap or _near(waiting[-1], travel) <= heap[0][0][0]):
                place = waiting.pop()
                found = self._fitting(place, travel, wanted, skips.get(place.number, 0), min(count, ROWS_MAX))
                if (first := next(found, None)) is not None:
                    heapq.heappush(heap, (_key(first, sign), first, found))
            if heap:
                _, hit, found = heap[0]
                yield hit
                following = next(found, None)
                if following is None:
                    heapq.heappop(heap)
                else:
                    heapq.heapreplace(heap, (_key(following, sign), following, found))

    def pieces(self, start_ms: int, end_ms: int) -> Iterator["pa.Table"]:
        """All pieces, in order of arrival."""
        for place in self._places:
            for piece in self._pieces(place, start_ms, end_ms):
                self._check()
                yield piece
            self._close(place.number)

    def ordinal_of(self, hit: Hit, *, backward: bool) -> int:
        """Number of events of its millisecond that come before ``hit``, over all runs."""
        before = sum(self._count_at(place, hit.time_ms) for place in self._places if place.number < hit.run)
        if not backward:
            return before + hit.rank
        return before + self._count_at(self._places[hit.run], hit.time_ms) - 1 - hit.rank

    def _skips(self, travel: Travel) -> dict[int, int]:
        """Number of events that each run has at the edge behind the traveller."""
        skips: dict[int, int] = {}
        left = travel.known
        if left is None:
            return skips
        for place in self._places:
            count = self._count_at(place, travel.edge_ms)
            before = min(left, count)
            skips[place.number] = count - before if travel.backward else before
            left -= before
        return skips

    def _count_at(self, place: RunPlace, time_ms: int) -> int:
        count = 0
        if place.least_ms <= time_ms <= place.greatest_ms:
            for piece in self._pieces(place, time_ms, time_ms + 1):
                times = times_of(piece)
                count += count_before(times, time_ms + 1) - count_before(times, time_ms)
        return count

    def _fitting(
        self, place: RunPlace, travel: Travel, wanted: WindowSelection, skip: int, rows_max: int
    ) -> Iterator[Hit]:
        """The wanted events of a run, in order of travel."""
        last_ms, at_last = None, 0  # of the pieces before: their last millisecond, how many events it has there
        for piece in self._pieces(place, travel.start_ms, travel.end_ms, backward=travel.backward):
            self._check()
            times = times_of(piece)
            first, end = count_before(times, travel.start_ms), count_before(times, travel.end_ms)
            rows = first + np.flatnonzero(wanted(piece.slice(first, end - first)))
            if travel.backward:
                rows = rows[::-1]
                ranks = np.searchsorted(times, times[rows], "right") - 1 - rows
            else:
                ranks = rows - np.searchsorted(times, times[rows])
            if last_ms is not None:
                ranks[times[rows] == last_ms] += at_last
            kept = (times[rows] != travel.edge_ms) | (ranks >= skip)
            yield from _hits(piece, place.number, rows[kept], ranks[kept], rows_max)
            far_ms = int(times[0] if travel.backward else times[-1])
            same = int(np.count_nonzero(times == far_ms))
            at_last = same + (at_last if far_ms == last_ms else 0)
            last_ms = far_ms
        self._close(place.number)

    def _pieces(self, place: RunPlace, start_ms: int, end_ms: int, *, backward: bool = False) -> Iterator["pa.Table"]:
        run = self._opened(place)
        return iter(()) if run is None else run.pieces(start_ms, end_ms, self._on_damage, backward=backward)

    def _opened(self, place: RunPlace) -> EventRun | None:
        """The run, or None if it is damaged and was reported."""
        run = self._open.get(place.number)
        if run is None and place.number not in self._damaged:
            try:
                run = self._open[place.number] = place.open()
            except Damaged as damage:
                self._damaged.add(place.number)
                if self._on_damage is None:
                    raise
                self._on_damage(damage)
        return run

    def _close(self, number: int) -> None:
        run = self._open.pop(number, None)
        if run is not None:
            run.close()


def selected_rows(piece: "pa.Table", conditions: Conditions) -> Flags:
    """Rows that meet the conditions other than time."""
    import pyarrow.compute as pc  # heavy, and not needed for receiving

    keep = np.ones(len(piece), np.bool_)
    if conditions.levels:
        keep &= np.isin(piece.column("level").to_numpy(), list(conditions.levels))
    if conditions.sources:
        keep &= _flags(pc.is_in(piece.column("source"), value_set=text_array(conditions.sources)))
    if conditions.text:
        for_text = {"pattern": conditions.text, "ignore_case": True}
        fits = _flags(pc.match_substring(piece.column("description"), **for_text))
        keep &= fits | _flags(pc.match_substring(piece.column("event_id"), **for_text))
    return keep


def _near(place: RunPlace, travel: Travel) -> int:
    """Position at which the traveller meets the place, ascending in direction of travel."""
    return -place.greatest_ms if travel.backward else place.least_ms


def _key(hit: Hit, sign: int) -> tuple[int, int, int]:
    return sign * hit.time_ms, sign * hit.run, hit.rank


def _hits(piece: "pa.Table", run: int, rows: Any, ranks: Any, rows_max: int) -> Iterator[Hit]:
    import pyarrow as pa

    for first in range(0, len(rows), rows_max):
        chosen = arrow_column(rows[first : first + rows_max].astype(np.int64), pa.int64())
        shown = piece.take(chosen).to_pylist()
        for row, rank in zip(shown, ranks[first : first + rows_max].tolist(), strict=True):
            yield Hit(row["time_ms"], run, rank, row)


def _flags(column: Any) -> Flags:
    flags: Flags = column.to_numpy()
    return flags


def text_array(texts: Iterable[str]) -> "pa.Array":
    """Texts as an Arrow array."""
    import pyarrow as pa

    parts = [text.encode() for text in texts]
    return arrow_text(np.cumsum([0, *map(len, parts)]).astype(np.int32), b"".join(parts), pa.string())
