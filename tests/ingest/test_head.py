"""The head: appended rows can be read once they are visible, and given up only before that."""

import random
import threading
from pathlib import Path

import numpy as np
import pytest

from nissa.ingest import head as head_module
from nissa.ingest.head import CHUNK_ROWS, Head, head_facts
from nissa.model.columns import EventBatch, TextColumn
from nissa.store import head_index
from nissa.store.read import Snapshot, read_samples
from oracle.bodies import Rig, sample, series
from oracle.columns import Sample, resolve, select
from oracle.directory import ALWAYS, batch_of, samples_of


def rig_of(rows: int, first: int = 0) -> Rig:
    """A batch of so many rows of one series, values counted up from ``first``."""
    samples = np.empty(rows, [("head", "u1", 3), ("value", "<f8"), ("time", "u1", 2)])
    samples["head"], samples["time"] = (0x12, 11, 0x09), (0x10, 1)
    samples["value"] = np.arange(first, first + rows)
    rig = Rig()
    rig.decode(series([("__name__", "m")], samples.tobytes()) if rows else b"")
    return rig


def events_of(count: int) -> EventBatch:
    """Events without text."""
    text = TextColumn(np.zeros(count + 1, np.int32), b"")
    none = TextColumn(np.zeros(1, np.int32), b"")
    times, levels, offsets = np.zeros(count, np.int64), np.zeros(count, np.uint8), np.zeros(count + 1, np.int32)
    return EventBatch(times, levels, text, text, text, text, offsets, none, none)


def values(head: Head) -> list[float]:
    """Visible values in order."""
    return [value for part in head.snapshot() for value in part.value.tolist()]


def test_rows_are_read_when_they_are_visible() -> None:
    """Appended rows are visible up to the last publish, in order of arrival."""
    head = Head()
    assert head.empty
    assert head.snapshot() == ()
    head.append(rig_of(3).batch, "a", 1, None, 500)
    head.append(rig_of(2, 3).batch, "b", 2, None, 900)
    assert (head.total, head.visible, head.opened_ms, head.last_lsn, head.empty) == (5, 0, 500, 2, False)
    assert values(head) == []
    assert [span.lsn for span in head.in_flight] == [1, 2]
    head.publish(1, 3)
    assert values(head) == [0, 1, 2]
    head.publish(2, 5)
    assert values(head) == [0, 1, 2, 3, 4]
    assert [span.rows for span in head.spans] == [3, 2]
    assert head.in_flight == []


def test_a_snapshot_stays_as_it_was() -> None:
    """A snapshot does not change when the head grows, or gives up rows."""
    head = Head()
    head.append(rig_of(3).batch, "a", 1, None, 0)
    head.publish(1, 3)
    before = head.snapshot()
    head.append(rig_of(4, 100).batch, "a", 2, None, 0)
    head.truncate()
    head.append(rig_of(4, 200).batch, "a", 3, None, 0)
    head.publish(3, 7)
    assert before[0].value.tolist() == [0, 1, 2]
    assert values(head) == [0, 1, 2, 200, 201, 202, 203]


def test_frames_larger_than_a_chunk() -> None:
    """Frames end anywhere in a chunk, at its edge, or span several."""
    head, expected = Head(), []
    sizes = (CHUNK_ROWS - 1, 1, 1, 2 * CHUNK_ROWS + 5, 0, CHUNK_ROWS - 6, 3)
    large = rig_of(2 * CHUNK_ROWS + 5)
    for lsn, size in enumerate(sizes, 1):
        rig = large if size == 2 * CHUNK_ROWS + 5 else rig_of(size, lsn)
        head.append(rig.batch, "a", lsn, None, 0)
        expected += rig.batch.columns()[2].tolist()
        head.publish(lsn, head.total)
    assert [span.rows for span in head.spans] == list(sizes)
    assert values(head) == expected
    assert all(len(part) <= CHUNK_ROWS for part in head.snapshot())


def test_what_is_not_visible_can_be_given_up() -> None:
    """truncate forgets frames above the visible LSN, rows and events, and names them."""
    head = Head()
    head.append(rig_of(3).batch, "a", 1, events_of(2), 0)
    head.publish(1, 3)
    head.append(rig_of(CHUNK_ROWS).batch, "b", 2, None, 0)
    head.append(rig_of(0).batch, "c", 3, events_of(4), 0)
    head.append(rig_of(5).batch, "b", 4, events_of(1), 0)
    in_flight = head.in_flight
    lost = head.truncate()
    assert lost == in_flight
    assert [(span.source, span.lsn, span.rows, span.events) for span in lost] == [
        ("b", 2, CHUNK_ROWS, 0),
        ("c", 3, 0, 4),
        ("b", 4, 5, 1),
    ]
    assert (head.total, head.last_lsn, len(head.spans), [lsn for lsn, _ in head.events]) == (3, 1, 1, [1])
    assert head.truncate() == []
    assert values(head) == [0, 1, 2]


def test_everything_can_be_given_up() -> None:
    """A head of which nothing became durable is as good as new."""
    head = Head()
    head.append(rig_of(3).batch, "a", 1, None, 7)
    assert len(head.truncate()) == 1
    assert head.empty
    head.append(rig_of(2, 50).batch, "a", 2, None, 8)
    head.publish(2, 2)
    assert (values(head), head.opened_ms) == ([50, 51], 8)


def test_the_range_of_times() -> None:
    """The earliest and latest time of visible rows, however often it is read while the head grows over chunks."""
    rng = random.Random(9)
    head, times = Head(), []
    assert head.range_ms() is None
    for lsn in range(1, 40):
        ts_ms = rng.randrange(-(10**15), 10**15)
        size = rng.choice((0, 1, 7, CHUNK_ROWS // 5))
        rig = Rig()
        body = series([("__name__", "m")], *[sample(1.0, ts_ms)] * min(size, 7)) if size else b""
        rig.decode(body)
        for _ in range(-(-size // 7)):
            head.append(rig.batch, "a", lsn, None, 0)
        if rng.random() < 0.5:
            continue
        head.publish(lsn, head.total)
        times = [part.ts_ms for part in head.snapshot() if len(part)]
        expected = (min(int(one.min()) for one in times), max(int(one.max()) for one in times)) if times else None
        assert head.range_ms() == expected
        assert head.range_ms() == expected
    head.append(rig_of(1).batch, "a", 99, None, 0)
    head.truncate()
    assert head.range_ms() is not None


def test_events_are_read_when_they_are_visible() -> None:
    """Events are read in order of arrival once visible; given up ones never."""
    head = Head()
    batches = [events_of(count) for count in (2, 1, 3)]
    for lsn, events in enumerate(batches, 1):
        head.append(rig_of(0).batch, "a", lsn, events, 0)
    assert head.events_snapshot() == []
    head.publish(2, 0)
    before = head.events_snapshot()
    assert [len(events) for events in before] == [2, 1]
    head.truncate()
    head.append(rig_of(0).batch, "a", 3, events_of(5), 0)
    head.publish(3, 0)
    assert [len(events) for events in head.events_snapshot()] == [2, 1, 5]
    assert [len(events) for events in before] == [2, 1]


def test_sources_of_rows() -> None:
    """Rows are counted by source, for few rows and for many, with empty frames between."""
    rng = random.Random(4)
    head, owners = Head(), []
    for lsn in range(1, 60):
        size, source = rng.choice((0, 0, 1, 5, 30)), rng.choice("abc")
        head.append(rig_of(size).batch, source, lsn, None, 0)
        owners += [source] * size
    for count in (0, 1, 3, 58, 61, len(owners)):
        rows = np.array(rng.sample(range(len(owners)), count), np.uint32)
        expected: dict[str, int] = {}
        for row in rows.tolist():
            expected[owners[row]] = expected.get(owners[row], 0) + 1
        assert head.sources_of(rows) == expected


def test_readers_beside_the_writer() -> None:
    """Readers see whole frames in order while the writer appends, publishes and gives up."""
    head = Head()
    done = threading.Event()
    wrong: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen = [part.value for part in head.snapshot()]
            together = np.concatenate(seen) if seen else np.empty(0)
            if len(together) % 100 or not np.array_equal(together, np.arange(len(together))):
                wrong.append(len(together))

    thread = threading.Thread(target=read)
    thread.start()
    for lsn in range(1, 400):
        rig = rig_of(100, head.visible)
        head.append(rig_of(100, 10**9).batch, "given up", lsn, None, 0)
        head.truncate()
        head.append(rig.batch, "a", lsn, None, 0)
        head.publish(lsn, head.total)
    done.set()
    thread.join()
    assert not wrong


def test_indexes_go_with_their_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot finds the right rows by the index after rows were given up and others came in their place."""
    monkeypatch.setattr(head_module, "CHUNK_ROWS", 16)
    monkeypatch.setattr(head_index, "PAGE_ROWS", 4)
    head, chance, kept = Head(), random.Random(3), 0
    expected: list[Sample] = []
    for lsn in range(1, 40):
        samples = [(chance.randrange(6), chance.randrange(100), lsn) for _ in range(chance.randrange(14))]
        head.copy_rows(batch_of(samples))
        if chance.random() < 0.6:
            expected += samples
            kept = head.total
            head.publish(lsn, kept)
        else:
            head.truncate()
        views = head.snapshot()
        snapshot = Snapshot(Path(), (), views, **head_facts([head], [views]))
        for one in range(6):
            found = read_samples(snapshot, np.array([one], np.uint32), *ALWAYS)
            assert samples_of(found) == select(resolve(expected)[0], {one}, *ALWAYS)
        assert head.total == kept
        assert len(head.indexes(99)) == -(-kept // 16)
