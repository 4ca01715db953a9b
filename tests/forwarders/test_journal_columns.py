"""Frames of the journal as columns for sinks."""

from collections.abc import Iterable

import msgspec

from nissa.forwarders.journal_columns import FrameColumns, JournalColumns
from nissa.journal.segment import JournalFrame
from nissa.model.context import Context
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import DAY_MS
from oracle.engine import NOW_MS, ONE, Sample, body_of, config_of


def entry_of(samples: Iterable[Sample], codec: Codec = Codec.REMOTE_WRITE_1, **changes: object) -> JournalFrame:
    """A frame as the journal gives it back."""
    frame = Frame(codec, Encoding.IDENTITY, Source.HTTP, NOW_MS, body_of(samples))
    return JournalFrame(1, 0, 0, msgspec.structs.replace(frame, **changes), 64, 128, 0, 0)


def rows(found: FrameColumns | None) -> list[tuple[str, int]]:
    """(metric name, ts_ms) of all rows."""
    assert found is not None
    names = [dict(found.index.labels(series))["__name__"] for series in found.series.tolist()]
    return list(zip(names, found.ts_ms.tolist(), strict=True))


def test_samples_are_decoded() -> None:
    """Samples are decoded as by the engine; a body without refusals is marked as whole."""
    columns = JournalColumns(config_of())
    found = columns.decode(entry_of([("a", NOW_MS, ONE), ("b", NOW_MS, ONE)]))
    assert rows(found) == [("a", NOW_MS), ("b", NOW_MS)]
    assert found is not None
    assert found.whole


def test_what_was_refused_is_refused_again() -> None:
    """Then the body is not whole; neither is one whose context adds labels."""
    columns = JournalColumns(config_of())
    found = columns.decode(entry_of([("a", NOW_MS - 30 * DAY_MS, ONE), ("b", NOW_MS, ONE)]))
    assert rows(found) == [("b", NOW_MS)]
    labelled = columns.decode(entry_of([("a", NOW_MS, ONE)], context=Context(labels={"job": "x"}).encode()))
    assert found is not None
    assert labelled is not None
    assert not found.whole
    assert not labelled.whole
    assert labelled.index.labels(int(labelled.series[0])) == [("__name__", "a"), ("job", "x")]


def test_notes_and_imports_are_left_out() -> None:
    """Notes of refusals have no samples, and imports are history that no sink of live data takes."""
    columns = JournalColumns(config_of())
    assert columns.decode(entry_of([], codec=Codec.TALLY)) is None
    assert columns.decode(entry_of([("a", NOW_MS, ONE)], source=Source.IMPORT)) is None
    assert columns.decode(entry_of([], body=b"\xff\xff")) is None
    assert columns.undecodable_frames == 1


def test_a_full_index_is_replaced() -> None:
    """More series than may be active at once come in the end; ids of the old index stay valid in it."""
    columns = JournalColumns(config_of(series={"active_max": 10}))
    first = columns.decode(entry_of([(f"a{number}", NOW_MS, ONE) for number in range(8)]))
    second = columns.decode(entry_of([(f"b{number}", NOW_MS, ONE) for number in range(8)]))
    assert first is not None
    assert second is not None
    assert first.index is not second.index
    assert [name for name, _ in rows(first) + rows(second)] == [f"{one}{number}" for one in "ab" for number in range(8)]
