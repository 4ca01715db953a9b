"""Pages of events against the list of all of them, over real blocks and a head."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.model.errors import BadQuery, Damaged
from nissa.query import events
from nissa.query.events import (
    EventPage,
    EventRequest,
    Position,
    read_cursor,
    read_event_table,
    read_levels,
    read_order,
    read_page,
    shown_event,
)
from nissa.store import event_blocks
from nissa.store.event_runs import EventSnapshot
from oracle.directory import Directory
from oracle.event_blocks import write_events
from oracle.events import Row, event_batch, event_row

GROUP_ROWS = 3


def snapshot_of(directory: Path, parts: list[list[Row]], heads: int) -> EventSnapshot:
    """Parts as they arrived: the last ``heads`` of them in the head, each other one a block."""
    full = [part for part in parts if part]
    sealed = full[: max(len(full) - heads, 0)]
    blocks = [write_events(directory, at + 1, [event_batch(part)], at, at, 1) for at, part in enumerate(sealed)]
    return EventSnapshot(directory, tuple(reversed(blocks)), tuple(map(event_batch, full[len(sealed) :])))


def means(question: EventRequest, row: Row) -> bool:
    """The question, asked of one event."""
    text = question.text.lower()
    return (
        question.start_ms <= row["time_ms"] < question.range_ms[1]
        and (not question.sources or row["source"] in question.sources)
        and (not question.levels or row["level"] in question.levels)
        and (text in row["description"].lower() or text in row["event_id"].lower())
    )


def numbered(parts: list[list[int]]) -> list[list[Row]]:
    """Events of these times, numbered through."""
    numbers = iter(range(10_000))
    return [[event_row(time_ms, next(numbers)) for time_ms in part] for part in parts]


def asked(question: EventRequest, **changes: object) -> EventRequest:
    """The question with other settings."""
    fields = {name: getattr(question, name) for name in question.__struct_fields__}
    return EventRequest(**{**fields, **changes})


questions = st.builds(
    EventRequest,
    start_ms=st.integers(0, 6),
    end_ms=st.integers(3, 9),
    sources=st.frozensets(st.sampled_from(["s0", "s1", "none"]), max_size=2),
    levels=st.frozensets(st.integers(0, 4), max_size=3),
    text=st.sampled_from(["", "", "grafted", "culled É", "stage-1", "1", ".*"]),
    limit=st.integers(1, 7),
    newest_first=st.booleans(),
)
arrivals = st.lists(st.lists(st.integers(0, 8), max_size=12), max_size=6)


@pytest.mark.long
@settings(deadline=None, max_examples=60)
@given(arrivals, questions, st.data())
def test_pages_are_the_list_cut_in_pieces(
    tmp_path_factory: pytest.TempPathFactory, times: list[list[int]], question: EventRequest, data: st.DataObject
) -> None:
    """Every event that is meant comes once, in order, while the head is sealed between one page and the next.

    Also at both ends of what an int64 holds.
    """
    base_ms = data.draw(st.sampled_from([0, -(2**63), 2**63 - 9]))
    parts = numbered([[base_ms + time_ms for time_ms in part] for part in times])
    question = asked(question, start_ms=base_ms + question.start_ms, end_ms=base_ms + question.end_ms)
    rows = sorted((row for part in parts for row in part), key=lambda row: row["time_ms"])
    wanted = [row for row in rows if means(question, row)][:: -1 if question.newest_first else 1]
    got: list[Row] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_blocks, "GROUP_ROWS", GROUP_ROWS)
        while True:
            directory = tmp_path_factory.mktemp("events")
            Directory(directory)
            page = read_page(snapshot_of(directory, parts, data.draw(st.integers(0, 6))), question)
            got += page.events
            if page.complete:
                break
            assert len(page.events) == question.limit
            assert page.cursor is not None
            question = asked(question, cursor=read_cursor(str(page.cursor)))
        directory = tmp_path_factory.mktemp("table")
        Directory(directory)
        table = read_event_table(snapshot_of(directory, parts, 2), question)
    assert got == wanted
    assert table.column("packet_id").to_pylist() == [row["packet_id"] for row in wanted]


def test_whoever_follows_sees_what_arrives(tmp_path: Path) -> None:
    """The cursor of a complete page is where later events begin, also those of the same millisecond."""
    Directory(tmp_path)
    parts = numbered([[1, 2, 2], [2, 3], [2, 3, 4]])
    first = read_page(EventSnapshot(tmp_path, (), (event_batch(parts[0]),)), EventRequest())
    assert (first.complete, first.cursor) == (True, Position(2, 2))
    heads = tuple(map(event_batch, parts))
    second = read_page(EventSnapshot(tmp_path, (), heads), EventRequest(cursor=first.cursor))
    assert [(row["time_ms"], row["packet_id"]) for row in second.events] == [
        (2, "p3"),
        (2, "p5"),
        (3, "p4"),
        (3, "p6"),
        (4, "p7"),
    ]
    third = read_page(EventSnapshot(tmp_path, (), heads), EventRequest(cursor=second.cursor))
    assert third == EventPage([], second.cursor, complete=True)


def test_newest_first_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Events that arrive behind the first page are in none of the following ones."""
    Directory(tmp_path)
    parts = numbered([[1, 2, 2], [2, 3], [2, 9]])
    before, after = (EventSnapshot(tmp_path, (), tuple(map(event_batch, parts[:count]))) for count in (2, 3))
    question = EventRequest(newest_first=True, limit=2)
    first = read_page(before, question)
    assert [row["packet_id"] for row in first.events] == ["p4", "p3"]
    assert (first.complete, first.cursor) == (False, Position(2, 2))
    second = read_page(after, asked(question, cursor=first.cursor))
    assert [row["packet_id"] for row in second.events] == ["p2", "p1"]
    assert read_page(after, asked(question, cursor=Position(1, 1), limit=9)).events == parts[0][:1]
    assert read_page(after, asked(question, cursor=Position(1, 0))) == EventPage([], Position(1, 0), complete=True)


def test_a_page_of_long_texts_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page has at least one event, and says that more are behind it."""
    monkeypatch.setattr(events, "PAGE_BYTES_MAX", 200)
    rows = [{**event_row(at, at), "description": "x" * 90} for at in range(7)]
    snapshot, question, sizes = EventSnapshot(tmp_path, (), (event_batch(rows),)), EventRequest(), []
    while True:
        page = read_page(snapshot, question)
        sizes.append(len(page.events))
        if page.complete:
            break
        question = asked(question, cursor=page.cursor)
    assert sizes == [2, 2, 2, 1]


def test_a_table_has_words_and_times(tmp_path: Path) -> None:
    """Levels are words, times are times, attributes a map; without events the columns are there."""
    row = {**event_row(1_732_190_000_123, 3), "attributes": {"b": "1", "a": "2"}}
    table = read_event_table(EventSnapshot(tmp_path, (), (event_batch([row]),)), EventRequest())
    (shown,) = table.to_pylist()
    assert shown == {
        **{name: row[name] for name in ("source", "event_id", "description", "packet_id")},
        "timestamp": datetime(2024, 11, 21, 11, 53, 20, 123_000, UTC),
        "level": "error",
        "attributes": [("b", "1"), ("a", "2")],
    }
    assert read_event_table(EventSnapshot(tmp_path), EventRequest()).schema == table.schema
    assert shown_event(row)["level"] == "error"


def test_an_empty_directory_has_no_cursor(tmp_path: Path) -> None:
    """Nothing there, nothing to begin behind; an empty range is no fault."""
    assert read_page(EventSnapshot(tmp_path), EventRequest()) == EventPage([], None, complete=True)
    assert read_page(EventSnapshot(tmp_path), EventRequest(start_ms=5, end_ms=5)).complete


def test_a_damaged_block_is_left_out_and_told(tmp_path: Path) -> None:
    """Without ``on_damage`` the damage is raised."""
    Directory(tmp_path)
    snapshot = snapshot_of(tmp_path, numbered([[1, 2], [3]]), 1)
    path = tmp_path / snapshot.blocks[0].path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Damaged):
        read_page(snapshot, EventRequest())
    told: list[Damaged] = []
    page = read_page(snapshot, EventRequest(), on_damage=told.append)
    assert [row["time_ms"] for row in page.events] == [3]
    assert {damage.path for damage in told} == {str(path)}


def test_a_question_may_be_stopped(tmp_path: Path) -> None:
    """The check is asked before a piece is looked through."""
    Directory(tmp_path)

    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        read_page(snapshot_of(tmp_path, numbered([[1]]), 0), EventRequest(), stop)


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "1.-1", "1.2.3", "01.1", "1 .1", "a.b", "9" * 50 + ".1", "1_0.1"]
)
def test_other_cursors_are_refused(text: str) -> None:
    """A cursor is valid only in the exact form in which it was given out."""
    with pytest.raises(BadQuery, match="cursor"):
        read_cursor(text)
    assert read_cursor("-5.3") == Position(-5, 3)


def test_other_parameters_are_refused(tmp_path: Path) -> None:
    """Levels by name, limits within bounds, texts of some length."""
    assert read_levels(["ERROR", "info"]) == {3, 1}
    with pytest.raises(BadQuery, match="'fatal' is none of unspecified, info"):
        read_levels(["info", "fatal"])
    assert (read_order(""), read_order("oldest-first"), read_order("newest-first")) == (False, False, True)
    with pytest.raises(BadQuery, match="'order'"):
        read_order("newest")
    many = EventRequest(sources=frozenset(map(str, range(1_001))))
    for question in (EventRequest(limit=0), EventRequest(limit=10_001), EventRequest(text="é" * 513), many):
        with pytest.raises(BadQuery, match="invalid parameter"):
            read_page(EventSnapshot(tmp_path), question)
