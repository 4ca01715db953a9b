"""Events of blocks and head as one list, page by page.

    order      time, then arrival: block by block, the head last, within each as stored
    position   (time, ordinal): how many events of that very millisecond come before it
    cursor     the position behind the last event of a page, as text: 1732190000123.2

Events of a millisecond that arrive later stand behind those that are there, and neither sealing nor merging blocks
changes the order, so pages neither repeat an event nor leave one out while events arrive, wherever they stand by then.
Whoever follows keeps the last cursor and asks again.

A page costs what is looked at: row groups that overlap the range, one of each block in memory at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.errors import BadQuery
from nissa.query.times import TIME_MS_MAX, TIME_MS_MIN
from nissa.series.select import no_check
from nissa.store.arrow_columns import arrow_text
from nissa.store.event_runs import EventRun, EventSnapshot, OnDamage, open_runs, times_of

if TYPE_CHECKING:
    import pyarrow as pa

LIMIT_MAX = 10_000
TEXT_BYTES_MAX = 1_024
LEVELS = ("unspecified", "info", "warning", "error", "critical")


class Position(msgspec.Struct, frozen=True):
    """A place in the order of events. ordinal: how many events of that millisecond come before it."""

    time_ms: int
    ordinal: int = 0

    def __str__(self) -> str:
        return f"{self.time_ms}.{self.ordinal}"


class EventQuestion(msgspec.Struct, frozen=True):
    """Which events. Empty sources or levels: all. text: a part of the description or the event id, in any case."""

    start_ms: int = TIME_MS_MIN
    end_ms: int = TIME_MS_MAX
    sources: frozenset[str] = frozenset()
    levels: frozenset[int] = frozenset()
    text: str = ""
    limit: int = 1_000
    after: Position | None = None


class EventPage(msgspec.Struct, frozen=True):
    """Some events, as dictionaries like those of ``EventBatch.row``.

    cursor: where the next page begins; None where this is empty and no cursor was given. complete: nothing is behind
    it now.
    """

    events: list[dict[str, Any]]
    cursor: Position | None
    complete: bool


def read_cursor(text: str) -> Position:
    """A cursor as a page gave it. Raises BadQuery."""
    time_ms, dot, ordinal = text.partition(".")
    try:
        position = Position(int(time_ms), int(ordinal))
    except ValueError:
        dot = ""
    if not dot or len(text) > 40 or str(position) != text or position.ordinal < 0:
        raise BadQuery(f"invalid parameter 'cursor': {text[:40]!r} is not one that was given out")
    return position


def read_levels(texts: Sequence[str]) -> frozenset[int]:
    """Levels by their names, in any case. Raises BadQuery."""
    unknown = [text for text in texts if text.lower() not in LEVELS]
    if unknown:
        raise BadQuery(f"invalid parameter 'level': {unknown[0][:40]!r} is none of {', '.join(LEVELS)}")
    return frozenset(LEVELS.index(text.lower()) for text in texts)


def read_page(
    snapshot: EventSnapshot,
    question: EventQuestion,
    check: Callable[[], None] = no_check,
    on_damage: OnDamage | None = None,
) -> EventPage:
    """The next events that ``question`` means.

    check: called for every piece looked at; raises to stop. on_damage: told of each damage, what is damaged being left
    out; without it the first one is raised. Raises: BadQuery; FileGone (take a new snapshot and ask again); Damaged.
    """
    _check_question(question)
    after = question.after
    start_ms = question.start_ms if after is None else max(question.start_ms, after.time_ms)
    if start_ms >= question.end_ms:
        return EventPage([], after, complete=True)
    with ExitStack() as stack:
        runs = _opened(snapshot, start_ms, question.end_ms, on_damage, stack)
        inside = after if after is not None and after.time_ms == start_ms else None
        found = [
            _fitting(run, number, question, _Range(start_ms, question.end_ms), skip, check, on_damage)
            for number, (run, skip) in enumerate(zip(runs, _skips(runs, inside, on_damage), strict=True))
        ]
        hits = list(islice(merge(*found, key=_order), question.limit + 1))
        page = hits[: question.limit]
        if not page:
            return EventPage([], after, complete=True)
        last = page[-1]
        before = sum(_count_at(run, last.time_ms, on_damage) for run in runs[: last.run])
        cursor = Position(last.time_ms, before + last.rank + 1)
        return EventPage([_shown(hit) for hit in page], cursor, complete=len(hits) <= question.limit)


class _Range(msgspec.Struct, frozen=True):
    start_ms: int
    end_ms: int


class _Hit(msgspec.Struct, frozen=True, gc=False):
    """An event: rank is its place among those of its millisecond in its run; piece and row say where it stands."""

    time_ms: int
    run: int
    rank: int
    piece: Any
    row: int


def _order(hit: _Hit) -> tuple[int, int, int]:
    return hit.time_ms, hit.run, hit.rank


def _check_question(question: EventQuestion) -> None:
    if not 1 <= question.limit <= LIMIT_MAX:
        raise BadQuery(f"invalid parameter 'limit': expected 1 to {LIMIT_MAX}, got {question.limit}")
    if len(question.text.encode()) > TEXT_BYTES_MAX:
        raise BadQuery(f"invalid parameter 'q': over the limit of {TEXT_BYTES_MAX} bytes")


def _opened(
    snapshot: EventSnapshot, start_ms: int, end_ms: int, on_damage: OnDamage | None, stack: ExitStack
) -> list[EventRun]:
    runs: list[EventRun] = []
    for run in open_runs(snapshot, start_ms, end_ms, on_damage):
        stack.callback(run.close)
        runs.append(run)
    return runs


def _skips(runs: Sequence[EventRun], after: Position | None, on_damage: OnDamage | None) -> list[int]:
    """How many events of the cursor's millisecond each run has before the cursor."""
    left = 0 if after is None else after.ordinal
    skips = []
    for run in runs:
        count = min(left, _count_at(run, after.time_ms, on_damage)) if after is not None and left else 0
        skips.append(count)
        left -= count
    return skips


def _count_at(run: EventRun, time_ms: int, on_damage: OnDamage | None) -> int:
    count = 0
    for piece in run.pieces(time_ms, time_ms + 1, on_damage):
        first, end = np.searchsorted(times_of(piece), [time_ms, time_ms + 1])
        count += int(end - first)
    return count


def _fitting(
    run: EventRun,
    number: int,
    question: EventQuestion,
    interval: _Range,
    skip: int,
    check: Callable[[], None],
    on_damage: OnDamage | None,
) -> Iterator[_Hit]:
    """The events of a run that the question means, in order."""
    last_ms, at_last = TIME_MS_MIN, 0  # of the pieces before: their last millisecond, how many events it has there
    for piece in run.pieces(interval.start_ms, interval.end_ms, on_damage):
        check()
        times = times_of(piece)
        first, end = np.searchsorted(times, [interval.start_ms, interval.end_ms])
        rows = first + np.flatnonzero(_wanted(piece.slice(first, end - first), question))
        ranks = rows - np.searchsorted(times, times[rows])
        ranks[times[rows] == last_ms] += at_last
        behind = (times[rows] != interval.start_ms) | (ranks >= skip)
        for row, rank in zip(rows[behind].tolist(), ranks[behind].tolist(), strict=True):
            yield _Hit(int(times[row]), number, rank, piece, row)
        same = int(np.count_nonzero(times == times[-1]))
        at_last = same + (at_last if times[-1] == last_ms else 0)
        last_ms = int(times[-1])


def _wanted(piece: "pa.Table", question: EventQuestion) -> npt.NDArray[np.bool_]:
    """Which rows meet the conditions other than time."""
    import pyarrow.compute as pc  # heavy: nobody who only receives needs it

    keep = np.ones(len(piece), np.bool_)
    if question.levels:
        keep &= np.isin(piece.column("level").to_numpy(), list(question.levels))
    if question.sources:
        keep &= _flags(pc.is_in(piece.column("source"), value_set=_texts(question.sources)))
    if question.text:
        for_text = {"pattern": question.text, "ignore_case": True}
        fits = _flags(pc.match_substring(piece.column("description"), **for_text))
        keep &= fits | _flags(pc.match_substring(piece.column("event_id"), **for_text))
    return keep


def _flags(column: Any) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = column.to_numpy()
    return flags


def _texts(texts: frozenset[str]) -> "pa.Array":
    import pyarrow as pa

    parts = [text.encode() for text in texts]
    return arrow_text(np.cumsum([0, *map(len, parts)]).astype(np.int32), b"".join(parts), pa.string())


def _shown(hit: _Hit) -> dict[str, Any]:
    row: dict[str, Any] = hit.piece.slice(hit.row, 1).to_pylist()[0]
    return {**row, "attributes": dict(row["attributes"])}
