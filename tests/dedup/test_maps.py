"""The maps of events, metrics and alerts: life times, cleanups in slices, and what a checkpoint keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa._fast.batch import Batch
from nissa._fast.dedup_keys import dedup_message, key_of_request
from nissa._fast.series import SeriesIndex
from nissa.config.tree import Ttl
from nissa.dedup import CacheType, CleanupStatistics, Stored, TtlMaps
from nissa.model.columns import DedupKeyColumns
from nissa.model.units import HOUR_MS, MINUTE_MS

INDEX = SeriesIndex(bytes(range(32)))
EVENT, METRIC, ALERT = CacheType


def store(maps: TtlMaps, names: list[str], lsn: int, now_ms: int, *, alert: bool = False) -> list[int]:
    """Messages with these ids, each of the request of its name: which of them came before."""
    batch = Batch()
    batch.clear(len(names))
    for event, name in enumerate(names):
        word = name.encode()
        dedup_message(batch, INDEX, event, alert=alert, source=b"s", packet_id=word, epoch=1, request_id=word)
    marks = maps.store_with_ttl(batch, lsn, now_ms)
    return [0] * len(names) if marks is None else marks.tolist()


def get(maps: TtlMaps, kind: CacheType, name: str, now_ms: int) -> Stored | None:
    """The stored entry of a request of epoch 1, or None."""
    return maps.get(kind, key_of_request(INDEX, 1, name.encode()), now_ms)


def cleaned(maps: TtlMaps, now_ms: int) -> list[CleanupStatistics]:
    """Slices until none is under way."""
    statistics = [maps.cleanup_expired_entries(now_ms)]
    while maps.cleaning:
        statistics.append(maps.cleanup_expired_entries(now_ms))
    return [one for one in statistics if one is not None]


def test_each_map_remembers_for_its_own_time() -> None:
    """An event for an hour, a metric for two, an alert for a day; from that millisecond on it is not known."""
    assert (Ttl().event_ttl_ms, Ttl().metric_ttl_ms, Ttl().alert_ttl_ms) == (HOUR_MS, 2 * HOUR_MS, 24 * HOUR_MS)
    maps = TtlMaps(Ttl())
    for kind, hours, lsn in ((EVENT, 1, 3), (ALERT, 24, 7)):
        assert store(maps, ["r"], lsn, 1_000, alert=kind is ALERT) == [0]
        end_ms = 1_000 + hours * HOUR_MS
        assert get(maps, kind, "r", end_ms - 1) == Stored(lsn, end_ms)
        assert get(maps, kind, "r", end_ms) is None
        assert get(maps, kind, "R", 1_000) is None
        assert get(maps, METRIC, "r", 1_000) is None
        assert store(maps, ["r", "q", "q"], lsn + 1, end_ms - 1, alert=kind is ALERT) == [1, 0, 1]
    assert get(maps, EVENT, "r", HOUR_MS) == Stored(3, 1_000 + HOUR_MS)


def test_nothing_is_remembered_for_no_time() -> None:
    """A life time of 0 switches a kind off; the others go on."""
    maps = TtlMaps(Ttl(event_ttl_ms=0))
    assert [store(maps, ["r"], lsn, 0) for lsn in (1, 2)] == [[0], [0]]
    assert [store(maps, ["r"], lsn, 0, alert=True) for lsn in (3, 4)] == [[0], [1]]
    assert maps.counts() == {"event": 0, "metric": 0, "alert": 2}


def test_what_lost_frames_brought_may_come_again() -> None:
    """Above an LSN everything is forgotten, in each map."""
    maps = TtlMaps(Ttl())
    for lsn, name in enumerate("abc", 1):
        store(maps, [name], lsn, 0)
        store(maps, [name], lsn, 0, alert=True)
    maps.forget_above(2)
    assert store(maps, list("abc"), 4, 0) == [1, 1, 0]
    assert store(maps, list("abc"), 4, 0, alert=True) == [1, 1, 0]


def test_cleanups_come_every_five_minutes_in_slices() -> None:
    """Each call looks at one slice; the last call of a cleanup returns the number that all of them dropped."""
    assert (Ttl().cleanup_interval_ms, Ttl().cleanup_slice_entries) == (5 * MINUTE_MS, 10_000)
    maps = TtlMaps(Ttl(event_ttl_ms=MINUTE_MS, cleanup_slice_entries=10))
    assert maps.cleanup_expired_entries(0) is None
    store(maps, [str(number) for number in range(18)], 1, 0)
    store(maps, [str(number) for number in range(18)], 1, 0, alert=True)
    assert maps.cleanup_expired_entries(5 * MINUTE_MS - 1) is None
    assert not maps.cleaning
    calls = [maps.cleanup_expired_entries(5 * MINUTE_MS) for _ in range(4 + 1 + 4)]
    assert calls == [None] * 8 + [CleanupStatistics(events_cleaned=36, metrics_cleaned=0, alerts_cleaned=0)]
    assert calls[-1] is not None
    assert calls[-1].total_cleaned == 36
    assert maps.cleanup_expired_entries(10 * MINUTE_MS - 1) is None
    assert cleaned(maps, 10 * MINUTE_MS) == [CleanupStatistics(0, 0, 0)]
    status = maps.status()
    assert (status["total_entries_cleaned"], status["cleanup_operations"]) == (36, 2)
    assert status["entries"] == {"event": 0, "metric": 0, "alert": 36}
    assert status["cleaned"] == {"event": 36, "metric": 0, "alert": 0}


def test_a_full_map_says_what_it_forgot() -> None:
    """entries_max is of each map; what it costs is counted and shown."""
    maps = TtlMaps(Ttl(entries_max=4))
    for number in range(5):
        store(maps, [str(number)], number + 1, 0)
    assert [get(maps, EVENT, str(number), 0) is not None for number in range(5)] == [False, False, False, True, True]
    assert maps.status()["evicted_total"] == 6
    assert maps.status()["entries_max"] == 4


@settings(deadline=None, max_examples=40)
@given(
    frames=st.lists(st.tuples(st.lists(st.integers(0, 30), max_size=5), st.integers(0, 400_000)), max_size=60),
    cut=st.integers(0, 60),
)
def test_a_restored_map_answers_like_the_one_before(frames: list[tuple[list[int], int]], cut: int) -> None:
    """Entries kept at a checkpoint and restored elsewhere: every later answer is the same, full maps too."""
    small = Ttl(entries_max=19)
    whole, first = TtlMaps(small), TtlMaps(small)
    now_ms = 0
    for lsn, (numbers, step) in enumerate(frames, 1):
        now_ms += step
        if lsn == cut + 1:
            second = TtlMaps(small)
            second.restore(first.freeze().columns(), now_ms)
            first = second
        names = [str(number) for number in numbers]
        assert store(whole, names, lsn, now_ms) == store(first, names, lsn, now_ms)
        cleaned(whole, now_ms)


def test_another_life_time_holds_for_what_is_restored() -> None:
    """Entries keep the time of arrival, so that another life time applies to them."""
    maps = TtlMaps(Ttl())
    store(maps, ["r"], 1, 50)
    entries = maps.freeze().columns()
    assert entries["event"].stored_ms.tolist() == [50, 50]
    for ttl_ms, known in ((100, Stored(1, 150)), (10, None), (0, None)):
        other = TtlMaps(Ttl(event_ttl_ms=ttl_ms))
        other.restore(entries, 60)
        assert get(other, EVENT, "r", 60) == known


def test_entries_in_no_order_are_refused() -> None:
    """LSNs must ascend: cutting entries off the end relies on it."""
    wrong = DedupKeyColumns(np.ones((2, 2), np.uint64), np.array([2, 1], np.uint64), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="descend"):
        TtlMaps(Ttl()).restore({"event": wrong}, 0)
