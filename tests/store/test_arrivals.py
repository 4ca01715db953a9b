"""Earliest times of new rows, beside a list of everything that arrived."""

import random
import threading
from collections.abc import Callable

import numpy as np
import pytest

from nissa.ingest.head import Head
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.store import arrivals as arrivals_module
from nissa.store.arrivals import ALWAYS_MS, NEVER_MS, Arrivals


def rows_at(*ts_ms: int, series: int = 0) -> SampleBatch:
    """Rows of one series at these times."""
    times = np.array(ts_ms, np.int64)
    return SampleBatch(np.full(len(times), series, np.uint32), times, np.zeros(len(times)))


def add(head: Head, *ts_ms: int, series: int = 0) -> None:
    """Make rows visible."""
    head.copy_rows(rows_at(*ts_ms, series=series))
    head.publish(head.total, head.total)


def these(*series: int) -> Callable[[], SeriesColumn]:
    """Ids of series."""
    return lambda: np.array(series, np.uint32)


SERIES = these(0)


def test_the_earliest_of_what_came_since():
    """Times are rounded down to seconds; rows before the mark do not count."""
    head = Head()
    arrivals = Arrivals(lambda: (head,))
    assert arrivals.earliest_since(arrivals.mark(), SERIES) == NEVER_MS
    add(head, 5_000)
    first = arrivals.mark()
    add(head, 9_999, 8_001)
    assert arrivals.earliest_since(first, SERIES) == 8_000
    second = arrivals.mark()
    add(head, 12_000)
    add(head, 3_000, 13_000)
    assert (arrivals.earliest_since(second, SERIES), arrivals.earliest_since(first, SERIES)) == (3_000, 3_000)
    assert arrivals.earliest_since(arrivals.mark(), SERIES) == NEVER_MS


def test_rows_that_are_not_durable_do_not_count_yet():
    """They do as soon as they are visible."""
    head = Head()
    arrivals = Arrivals(lambda: (head,))
    head.copy_rows(rows_at(1_000))
    mark = arrivals.mark()
    assert arrivals.earliest_since(mark, SERIES) == NEVER_MS
    head.publish(1, head.total)
    assert arrivals.earliest_since(mark, SERIES) == 1_000


def test_heads_that_leave_memory():
    """Rows nobody asked about before their head became a block count if the seal thread noted them."""
    heads = [Head()]
    arrivals = Arrivals(lambda: tuple(heads))
    mark = arrivals.mark()
    add(heads[0], 7_000)
    arrivals.note(heads[0])
    heads[0] = Head()
    add(heads[0], 9_000)
    assert arrivals.earliest_since(mark, SERIES) == 7_000


def test_late_rows_count_for_their_series():
    """A sender that is always late does not touch the others, also where all rows of a look are late."""
    head = Head()
    arrivals = Arrivals(lambda: (head,))
    add(head, *range(600_000, 700_000, 100))
    mark = arrivals.mark()
    add(head, 700_000, 699_500)
    add(head, 100_500, series=7)
    assert arrivals.earliest_since(mark, these(7)) == 100_000
    assert arrivals.earliest_since(mark, these(2, 7, 9)) == 100_000
    for others in (these(), these(0), these(6, 8), these(9)):
        assert arrivals.earliest_since(mark, others) == 699_000
    second = arrivals.mark()
    add(head, 90_000, series=8)
    assert arrivals.earliest_since(second, these(7)) == NEVER_MS
    assert arrivals.earliest_since(second, these(8)) == 90_000
    assert arrivals.earliest_since(mark, these(7, 8)) == 90_000


def test_many_late_rows_count_for_all(monkeypatch: pytest.MonkeyPatch):
    """A tenth of a look and more than some rows: their series are not noted; nor are those of too many looks."""
    monkeypatch.setattr(arrivals_module, "LATE_ROWS", 2)
    monkeypatch.setattr(arrivals_module, "LATE_SERIES_MAX", 3)
    head = Head()
    arrivals = Arrivals(lambda: (head,))
    add(head, *range(600_000, 700_000, 100))
    mark = arrivals.mark()
    add(head, 1_000, 2_000, 3_000, series=7)
    assert arrivals.earliest_since(mark, these(0)) == 1_000
    marks = []
    for series in range(5):
        marks.append(arrivals.mark())
        add(head, 9_000, series=series)
    assert [arrivals.earliest_since(one, these(9)) for one in marks] == [ALWAYS_MS] * 2 + [NEVER_MS] * 3


def test_against_a_list():
    """Random rows over several heads and chunks of them."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, came, marks = random.Random(seed), list[tuple[int, int]](), list[tuple[int, int]]()
    heads = [Head()]
    arrivals = Arrivals(lambda: tuple(heads))
    for number in range(500):
        times = [number * 500 - chance.choice([0, 0, 0, 700, 90_000]) for _ in range(chance.randrange(1, 4))]
        series = chance.randrange(4)
        add(heads[-1], *times, series=series)
        came += [(at, series) for at in times]
        if chance.random() < 0.3:
            marks.append((arrivals.mark(), len(came)))
        if chance.random() < 0.02:
            heads.append(Head())
            if len(heads) > 2:
                arrivals.note(heads.pop(0))
        for mark, length in chance.sample(marks, min(len(marks), 3)):
            own = chance.randrange(4)
            expected = min((at // 1000 * 1000 for at, one in came[length:] if one == own), default=NEVER_MS)
            found = arrivals.earliest_since(mark, these(own))
            assert min((at // 1000 * 1000 for at, _ in came[length:]), default=NEVER_MS) <= found <= expected


def test_rows_of_several_chunks(monkeypatch: pytest.MonkeyPatch):
    """A look goes over the border of chunks."""
    monkeypatch.setattr("nissa.ingest.head.CHUNK_ROWS", 4)
    monkeypatch.setattr("nissa.ingest.head._new_chunk", lambda: rows_at(0, 0, 0, 0))
    head = Head()
    arrivals = Arrivals(lambda: (head,))
    add(head, 30_000, 31_000)
    mark = arrivals.mark()
    add(head, *range(40_000, 40_009), 20_000, 50_000)
    assert arrivals.earliest_since(mark, SERIES) == 20_000
    assert head.range_ms() == (20_000, 50_000)


def test_marks_are_bounded(monkeypatch: pytest.MonkeyPatch):
    """To answers older than the marks that are kept, everything counts as changed."""
    monkeypatch.setattr(arrivals_module, "MARKS_MAX", 10)
    head = Head()
    arrivals = Arrivals(lambda: (head,))
    marks = []
    for second in range(100):
        marks.append(arrivals.mark())
        add(head, second * 1_000)
    assert arrivals.earliest_since(marks[0], SERIES) == ALWAYS_MS
    assert arrivals.earliest_since(marks[98], SERIES) == 98_000


def test_from_several_threads():
    """Rows that become visible while others look are never missed."""
    head, end_s = Head(), 2_000
    arrivals = Arrivals(lambda: (head,))
    wrong: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            before = head.visible
            mark = arrivals.mark()
            earliest = arrivals.earliest_since(mark, SERIES)
            if earliest < before * 1_000:
                wrong.append(earliest)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for second in range(end_s):
        add(head, second * 1_000)
    ended.set()
    for thread in threads:
        thread.join(60)
    assert not wrong
