"""Events of blocks and head as one list, page by page, from either end.

    order      time, then arrival: block by block, the head last, within each as stored
    position   (time, ordinal): how many events of that very millisecond come before it
    cursor     where the next page goes on, as text: the position 1732190000123.2 behind the last event of a page, or,
               newest first, before it

Events of a millisecond that arrive later stand behind those that are there, and neither sealing nor merging blocks
changes the order, so pages neither repeat an event nor leave one out while events arrive, wherever they stand by then.
Whoever follows keeps the last cursor and asks again.

A page costs what is looked at: runs are opened when their time comes (``query/event_merge.py``).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from nissa.files.arrow_columns import arrow_column
from nissa.model.allowance import Check, no_check
from nissa.model.errors import BadQuery
from nissa.model.level import LEVELS
from nissa.model.units import EVER_MS
from nissa.query.event_merge import Merge, Travel, selected_rows, text_array
from nissa.query.times import TIME_MS_MAX, TIME_MS_MIN
from nissa.store.event_blocks import within
from nissa.store.event_runs import EventSnapshot, OnDamage, places_of, report_missing_files, times_of

if TYPE_CHECKING:
    import pyarrow as pa

LIMIT_MAX = 10_000
PAGE_BYTES_MAX = 16 * 1024 * 1024  # of text: a page that is full ends, and says that it is not complete
TEXT_BYTES_MAX = 1_024
SOURCES_MAX = 1_000
ORDERS = ("oldest-first", "newest-first")


class Position(msgspec.Struct, frozen=True):
    """A place in the order of events. ordinal: how many events of that millisecond come before it."""

    time_ms: int
    ordinal: int = 0

    def __str__(self) -> str:
        return f"{self.time_ms}.{self.ordinal}"


class EventRequest(msgspec.Struct, frozen=True):
    """Selection of events. Empty sources or levels: all. text: a part of the description or the event id, in any case.

    cursor: where a page of the same order ended.
    """

    start_ms: int = TIME_MS_MIN
    end_ms: int = TIME_MS_MAX
    sources: frozenset[str] = frozenset()
    levels: frozenset[int] = frozenset()
    text: str = ""
    limit: int = 1_000
    cursor: Position | None = None
    newest_first: bool = False

    @property
    def range_ms(self) -> tuple[int, int]:
        """[start_ms, end_ms), where the end of all times takes in the last millisecond there is."""
        return self.start_ms, EVER_MS[1] if self.end_ms >= TIME_MS_MAX else self.end_ms


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
        raise BadQuery(f"invalid parameter 'cursor': {text[:40]!r} is not a valid cursor")
    return position


def read_levels(texts: Sequence[str]) -> frozenset[int]:
    """Levels by their names, in any case. Raises BadQuery."""
    unknown = [text for text in texts if text.lower() not in LEVELS]
    if unknown:
        raise BadQuery(f"invalid parameter 'level': {unknown[0][:40]!r} is none of {', '.join(LEVELS)}")
    return frozenset(LEVELS.index(text.lower()) for text in texts)


def read_order(text: str) -> bool:
    """True if the newest come first. Raises BadQuery."""
    if text and text not in ORDERS:
        raise BadQuery(f"invalid parameter 'order': {text[:40]!r} is none of {', '.join(ORDERS)}")
    return text == ORDERS[1]


def read_page(
    snapshot: EventSnapshot,
    question: EventRequest,
    check: Check = no_check,
    on_damage: OnDamage | None = None,
) -> EventPage:
    """Read the next page of events that match ``question``.

    snapshot: blocks and head to read. question: filter, range, order, limit and cursor. check: called for every part
    read; raises to cancel. on_damage: called with each damage, whose events are left out; without it the first damage
    is raised. Raises: BadQuery, Damaged.
    """
    _check_question(question)
    cursor, backward = question.cursor, question.newest_first
    start_ms, end_ms = question.range_ms
    if cursor is not None and backward:
        end_ms = min(end_ms, cursor.time_ms + 1)
    elif cursor is not None:
        start_ms = max(start_ms, cursor.time_ms)
    if start_ms >= end_ms:
        return EventPage([], cursor, complete=True)
    edge_ms = end_ms - 1 if backward else start_ms
    known = cursor.ordinal if cursor is not None and cursor.time_ms == edge_ms else None
    travel = Travel(start_ms, end_ms, backward, known)
    report_missing_files(snapshot, start_ms, end_ms, on_damage)
    with Merge(places_of(snapshot, start_ms, end_ms), check, on_damage) as merge:
        rows: list[dict[str, Any]] = []
        text_bytes, last = 0, None
        complete = True
        for hit in merge.hits(travel, lambda piece: selected_rows(piece, question), question.limit):
            if len(rows) == question.limit or text_bytes >= PAGE_BYTES_MAX:
                complete = False
                break
            rows.append({**hit.row, "attributes": dict(hit.row["attributes"])})
            text_bytes += _text_bytes(rows[-1])
            last = hit
        if last is None:
            return EventPage([], cursor, complete=True)
        ordinal = merge.ordinal_of(last, backward=backward)
        return EventPage(rows, Position(last.time_ms, ordinal if backward else ordinal + 1), complete)


def read_event_table(
    snapshot: EventSnapshot,
    question: EventRequest,
    check: Check = no_check,
    on_damage: OnDamage | None = None,
) -> "pa.Table":
    """Read all events that match ``question``, whatever its limit, as a table: timestamp, level as a word, texts.

    snapshot, check, on_damage and errors: as for ``read_page``.
    """
    import pyarrow as pa

    start_ms, end_ms = question.range_ms
    parts, times = [_empty_table()], [np.empty(0, np.int64)]
    report_missing_files(snapshot, start_ms, end_ms, on_damage)
    with Merge(places_of(snapshot, start_ms, end_ms), check, on_damage) as merge:
        for piece in merge.pieces(start_ms, end_ms):
            time_ms = times_of(piece)
            rows = np.flatnonzero(within(time_ms, start_ms, end_ms) & selected_rows(piece, question))
            parts.append(_shown_table(piece.take(arrow_column(rows, pa.int64()))))
            times.append(time_ms[rows])
    order = np.argsort(np.concatenate(times), kind="stable")
    return pa.concat_tables(parts).take(arrow_column(order[::-1] if question.newest_first else order, pa.int64()))


def shown_event(row: dict[str, Any]) -> dict[str, Any]:
    """An event for people: its level as a word."""
    return {**row, "level": LEVELS[row["level"]]}


def _shown_table(piece: "pa.Table") -> "pa.Table":
    import pyarrow as pa

    times = pa.chunked_array([piece.column("time_ms").combine_chunks().cast(pa.timestamp("ms", tz="UTC"))])
    words = pa.DictionaryArray.from_arrays(piece.column("level").combine_chunks().cast(pa.int8()), text_array(LEVELS))
    shown = piece.set_column(0, "timestamp", times).set_column(1, "level", pa.chunked_array([words]))
    return shown.cast(_schema())


def _empty_table() -> "pa.Table":
    return _schema().empty_table()


def _schema() -> "pa.Schema":
    """The columns of a table of events."""
    import pyarrow as pa

    texts = [pa.field(name, pa.string()) for name in ("source", "event_id", "description")]
    return pa.schema(
        [
            pa.field("timestamp", pa.timestamp("ms", tz="UTC")),
            pa.field("level", pa.dictionary(pa.int8(), pa.string())),
            *texts,
            pa.field("attributes", pa.map_(pa.string(), pa.string())),
            pa.field("packet_id", pa.string()),
        ]
    )


def _text_bytes(row: dict[str, Any]) -> int:
    texts = [row["description"], row["event_id"], row["source"], row["packet_id"]]
    return sum(map(len, texts)) + sum(len(name) + len(value) for name, value in row["attributes"].items())


def _check_question(question: EventRequest) -> None:
    if not 1 <= question.limit <= LIMIT_MAX:
        raise BadQuery(f"invalid parameter 'limit': expected 1 to {LIMIT_MAX}, got {question.limit}")
    if len(question.text.encode()) > TEXT_BYTES_MAX:
        raise BadQuery(f"invalid parameter 'q': over the limit of {TEXT_BYTES_MAX} bytes")
    if len(question.sources) > SOURCES_MAX:
        raise BadQuery(f"invalid parameter 'source': {len(question.sources)} are over the limit of {SOURCES_MAX}")
