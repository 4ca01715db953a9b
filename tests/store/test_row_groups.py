"""Row groups in memory against their slow twin; the cache of them: what is decoded once has the same rows."""

import random

import numpy as np
import pytest
from fast.test_columns import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa._fast.row_groups import RowGroup, count_rows, take_rows
from nissa.model.columns import SampleBatch
from nissa.store.row_groups import ENTRY_BYTES, RowGroupCache, row_group
from oracle.columns import Sample, resolve, select
from oracle.directory import ALWAYS, batch_of, samples_of

ONE = np.array([1], np.uint32)
MANY = 1 << 30
WANTED = st.sets(st.sampled_from([0, 1, 2, 5, 7, 900, 2**32 - 1]))


def only(found: list[RowGroup | None]) -> RowGroup | None:
    """The one row group that was asked for."""
    (rows,) = found
    return rows


def group_of(samples: list[Sample]) -> RowGroup:
    """An entry of these samples, which are sorted."""
    batch = batch_of(samples)
    return row_group(batch.series, batch.ts_ms, batch.value)


@settings(max_examples=200, deadline=None)
@given(st.lists(SAMPLES, max_size=4), st.none() | WANTED, st.integers(-4, 4), st.integers(-4, 4))
def test_takes_like_the_twin(parts: list[list[Sample]], wanted: set[int] | None, start_ms: int, end_ms: int) -> None:
    """Wanted series inside the half-open interval of one group behind the other, bit for bit."""
    groups = [resolve(samples)[0] for samples in parts]
    want = [select(rows, {row[0] for row in rows} if wanted is None else wanted, start_ms, end_ms) for rows in groups]
    ids = None if wanted is None else np.array(sorted(wanted), np.uint32)
    series, ts_ms, value, ends, ascending = take_rows([group_of(rows) for rows in groups], ids, start_ms, end_ms)
    assert samples_of(SampleBatch(series, ts_ms, value)) == [row for rows in want for row in rows]
    assert ends.tolist() == np.cumsum([len(rows) for rows in want], dtype=np.int64).tolist()
    assert count_rows([group_of(rows) for rows in groups], ids, start_ms, end_ms).tolist() == [*map(len, want)]
    assert ascending == bool((series[1:] >= series[:-1]).all())


@pytest.mark.parametrize("base_ms", [-(2**63), -5, 0, 2**63 - 2**32])
def test_times_at_the_ends_of_what_an_offset_can_say(base_ms: int) -> None:
    """Any interval, also one that begins or ends far outside, takes the rows inside of it."""
    offsets = [0, 1, 2**31, 2**32 - 2, 2**32 - 1]
    ids, starts = np.array([7], np.uint32), np.array([0, len(offsets)], np.uint32)
    group = RowGroup(ids, starts, base_ms, np.array(offsets, np.uint32), np.arange(len(offsets), dtype=np.float64))
    ends = {base_ms + offset + more for offset in offsets for more in (-1, 0, 1)} | {-(2**63), 2**63 - 1, 0}
    for start_ms in (one for one in ends if -(2**63) <= one < 2**63):
        for end_ms in (one for one in ends if -(2**63) <= one < 2**63):
            found = take_rows([group], ids, start_ms, end_ms)[1]
            assert found.tolist() == [base_ms + one for one in offsets if start_ms <= base_ms + one < end_ms]


@pytest.mark.parametrize(
    ("starts", "offsets", "values"), [([0, 2], 3, 3), ([0, 3], 3, 2), ([0, 1, 3], 3, 3), ([1, 3], 3, 3), ([0], 0, 0)]
)
def test_columns_that_do_not_fit_are_refused(starts: list[int], offsets: int, values: int) -> None:
    """They raise instead of being read beyond their ends."""
    with pytest.raises(ValueError, match="does not fit"):
        RowGroup(ONE, np.array(starts, np.uint32), 0, np.zeros(offsets, np.uint32), np.zeros(values))


def test_the_bytes_stay_under_the_limit() -> None:
    """Another entry gives way; one too large alone is not kept, one that is there is not stored twice."""
    group = group_of([(1, ts_ms, 0) for ts_ms in range(10)])
    weight = group.nbytes + ENTRY_BYTES
    cache = RowGroupCache(2 * weight)
    for block_id in (7, 8, 9):
        cache.keep(block_id, 0, group)
        assert only(cache.find(block_id, [0])) is group
    assert [only(cache.find(7, [0])), only(cache.find(8, [0]))].count(None) == 1
    assert cache.facts() == {"hits": 4, "misses": 1, "bytes": 2 * weight, "entries": 2}
    cache.keep(10, 0, group_of([(1, ts_ms, 0) for ts_ms in range(1_000)]))
    cache.keep(9, 0, group)
    assert cache.facts()["bytes"] == 2 * weight


def test_a_round_slightly_larger_than_the_cache_is_mostly_found() -> None:
    """Reading eleven entries in turn, with room for ten, finds most of them; those asked for last would find none."""
    group = group_of([(1, 1, 0)])
    cache = RowGroupCache(10 * (group.nbytes + ENTRY_BYTES))
    for turn in range(1_100):
        if only(cache.find(turn % 11, [0])) is None:
            cache.keep(turn % 11, 0, group)
    assert cache.facts()["hits"] > 700


def test_entries_that_are_not_asked_for_give_way() -> None:
    """While new entries come, those asked for in between mostly stay, and the others go."""
    group = group_of([(1, 1, 0)])
    cache = RowGroupCache(20 * (group.nbytes + ENTRY_BYTES))
    found = 0
    for turn in range(1_000):
        cache.keep(turn, 0, group)
        for wanted in range(8):
            if only(cache.find(10_000, [wanted])) is None:
                cache.keep(10_000, wanted, group)
            else:
                found += 1
    assert found > 7_800
    assert cache.facts()["entries"] == 20


@pytest.mark.parametrize("seed", range(4))
def test_entries_come_and_go_in_any_order(seed: int) -> None:
    """Whatever is stored, evicted and dropped, what is found is what was stored, and the facts are those of it."""
    chance = random.Random(seed)
    groups = [group_of([(1, ts_ms, 0) for ts_ms in range(rows)]) for rows in range(40)]
    cache, stored = RowGroupCache(20_000, seed), {}
    for _ in range(2_000):
        key = chance.randrange(12), chance.randrange(4)
        if key not in stored:
            stored[key] = chance.choice(groups)
        if only(cache.find(key[0], [key[1]])) is None:
            cache.keep(*key, stored[key])
        assert only(cache.find(key[0], [key[1]])) is stored[key]
        if not chance.randrange(50):
            current = chance.sample(range(12), 6)
            cache.keep_only(current)
            stored = {key: rows for key, rows in stored.items() if key[0] in current}
    held = [rows for key, rows in stored.items() if only(cache.find(key[0], [key[1]])) is rows]
    facts = cache.facts()
    assert facts["bytes"] == sum(rows.nbytes + ENTRY_BYTES for rows in held) <= cache.bytes_max
    assert facts["entries"] == len(held)


def test_row_groups_of_blocks_that_are_gone_are_dropped() -> None:
    """Only entries of current blocks stay."""
    cache, group = RowGroupCache(MANY), group_of([(1, 1, 0)])
    for block_id in (7, 8, 9):
        for number in range(3):
            cache.keep(block_id, number, group)
    cache.keep_only([8, 10])
    assert cache.facts()["entries"] == 3
    assert cache.facts()["bytes"] == 3 * (group.nbytes + ENTRY_BYTES)
    assert only(cache.find(7, [0])) is None
    cache.keep_only([])
    assert cache.facts()["bytes"] == 0


def test_an_entry_without_rows() -> None:
    """An entry without rows has no series."""
    group = group_of([])
    assert len(take_rows([group], None, *ALWAYS)[0]) == 0
    assert (len(group), len(take_rows([], None, *ALWAYS)[0])) == (0, 0)
