"""The maps of events, metrics and alerts: life times, cleanups in slices, and what a checkpoint keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.model.columns import TextColumn
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.ttl import CacheType, CleanupStatistics, Stored, TtlMaps
from nissa.ttl.maps import TtlSettings

SECRET = bytes(range(32))
EVENT, METRIC, ALERT = CacheType


def text(values: list[str]) -> TextColumn:
    """Strings as a column."""
    parts = [value.encode() for value in values]
    return TextColumn(np.cumsum([0, *(len(part) for part in parts)]).astype(np.int32), b"".join(parts))


def cleaned(maps: TtlMaps, now_ms: int) -> list[CleanupStatistics]:
    """Slices until none is under way."""
    statistics = [maps.clean(now_ms)]
    while maps.cleaning:
        statistics.append(maps.clean(now_ms))
    return [one for one in statistics if one is not None]


def test_each_map_remembers_for_its_own_time() -> None:
    """An event for an hour, a metric for two, an alert for a day; from that millisecond on it is not known."""
    maps = TtlMaps(SECRET)
    for kind, hours in ((EVENT, 1), (METRIC, 2), (ALERT, 24)):
        maps.store_with_ttl(kind, 7, "request", 3, 1_000)
        end_ms = 1_000 + hours * HOUR_MS
        assert maps.get(kind, 7, "request", end_ms - 1) == Stored(3, end_ms)
        assert maps.get(kind, 7, "request", end_ms) is None
        assert maps.get(kind, 8, "request", 1_000) is None
        assert maps.get(kind, 7, "requesT", 1_000) is None


def test_a_request_stored_again_is_the_later_one() -> None:
    """The last store of a key holds, with a life time of its own where one is given."""
    maps = TtlMaps(SECRET)
    maps.store_with_ttl(EVENT, 1, "r", 3, 0)
    maps.store_with_ttl(EVENT, 1, "r", 4, 10, custom_ttl_ms=5)
    assert maps.get(EVENT, 1, "r", 14) == Stored(4, 15)
    assert maps.get(EVENT, 1, "r", 15) is None
    assert maps.get(METRIC, 1, "r", 0) is None


@pytest.mark.parametrize("ttl_ms", [0, -1])
def test_a_life_of_nothing_is_refused(ttl_ms: int) -> None:
    """A life time is at least a millisecond; an epoch fits 64 bits."""
    maps = TtlMaps(SECRET)
    with pytest.raises(ValueError, match="custom_ttl_ms"):
        maps.store_with_ttl(EVENT, 1, "r", 3, 0, custom_ttl_ms=ttl_ms)
    with pytest.raises(ValueError, match="epoch"):
        maps.store_with_ttl(EVENT, -1, "r", 3, 0)


def test_redelivered_packets_are_known() -> None:
    """A packet's second coming names the first; the same id of another source is another packet."""
    maps = TtlMaps(SECRET)
    keys = maps.packet_keys(text(["a", "a", "b", "a"]), text(["1", "2", "1", "1"]))
    assert maps.claim(METRIC, keys, 5, 0).tolist() == [0, 0, 0, 5]
    assert maps.claim(METRIC, keys, 6, 2 * HOUR_MS - 1).tolist() == [5, 5, 5, 5]
    assert maps.look_up(METRIC, keys, 2 * HOUR_MS).tolist() == [0, 0, 0, 0]
    assert maps.claim(METRIC, keys[:1], 7, 2 * HOUR_MS).tolist() == [0]


def test_cleanups_come_every_five_minutes_in_slices() -> None:
    """Each call looks at one slice; the last one of a cleanup tells what all of them dropped."""
    maps = TtlMaps(SECRET, TtlSettings(cleanup_slice_entries=10))
    assert maps.clean(0) is None
    for number in range(35):
        maps.store_with_ttl(EVENT, 1, str(number), 1, 0, custom_ttl_ms=MINUTE_MS)
        maps.store_with_ttl(ALERT, 1, str(number), 1, 0)
    maps.store_with_ttl(METRIC, 1, "m", 1, 0, custom_ttl_ms=1)
    assert maps.clean(5 * MINUTE_MS - 1) is None
    assert not maps.cleaning
    calls = [maps.clean(5 * MINUTE_MS) for _ in range(4 + 1 + 4)]
    assert calls == [None] * 8 + [CleanupStatistics(events_cleaned=35, metrics_cleaned=1, alerts_cleaned=0)]
    assert calls[-1] is not None
    assert calls[-1].total_cleaned == 36
    assert maps.clean(10 * MINUTE_MS - 1) is None
    assert cleaned(maps, 10 * MINUTE_MS) == [CleanupStatistics(0, 0, 0)]
    status = maps.status()
    assert (status["total_entries_cleaned"], status["cleanup_operations"]) == (36, 2)
    assert (status["event_entries"], status["metric_entries"], status["alert_entries"]) == (0, 0, 35)


def test_a_full_map_says_what_it_forgot() -> None:
    """entries_max is of each map; what it costs is counted and shown."""
    maps = TtlMaps(SECRET, TtlSettings(entries_max=3))
    for number in range(5):
        maps.store_with_ttl(EVENT, 1, str(number), number + 1, 0)
    assert [maps.get(EVENT, 1, str(number), 0) is not None for number in range(5)] == [False, False, True, True, True]
    assert maps.status()["evicted_total"] == 2
    assert maps.status()["memory_bytes"] > 0


@settings(deadline=None, max_examples=40)
@given(
    frames=st.lists(st.tuples(st.lists(st.integers(0, 30), max_size=5), st.integers(0, 400_000)), max_size=60),
    cut=st.integers(0, 60),
)
def test_a_restored_map_answers_like_the_one_before(frames: list[tuple[list[int], int]], cut: int) -> None:
    """Entries kept at a checkpoint and restored elsewhere: every later answer is the same, full maps too."""
    small = TtlSettings(entries_max=9)
    whole, first = TtlMaps(SECRET, small), TtlMaps(SECRET, small)
    now_ms = 0
    for lsn, (names, step) in enumerate(frames, 1):
        now_ms += step
        if lsn == cut + 1:
            second = TtlMaps(SECRET, small)
            second.restore(METRIC, *first.entries(METRIC), now_ms)
            first = second
        keys = whole.packet_keys(text(["s"] * len(names)), text([str(name) for name in names]))
        assert whole.claim(METRIC, keys, lsn, now_ms).tolist() == first.claim(METRIC, keys, lsn, now_ms).tolist()
        cleaned(whole, now_ms)
