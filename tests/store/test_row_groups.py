"""The cache of row groups: a decoded row group is not decoded again, and has the same rows."""

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.model.errors import Damaged
from nissa.store import blocks
from nissa.store.blocks import OpenBlock
from nissa.store.read import Snapshot, read_samples
from nissa.store.row_groups import ENTRY_BYTES, SPAN_MS_MAX, RowGroup, RowGroupCache, row_group
from nissa.store.tombstones import Tombstone
from oracle.columns import Sample, resolve, select
from oracle.directory import ALWAYS, Directory, batch_of, samples_of

ONE = np.array([1], np.uint32)
MANY = 1 << 30


def some_samples(chance: random.Random) -> list[Sample]:
    """Samples of three series."""
    return [(chance.randrange(3), chance.randrange(50), 0x3FF << 52) for _ in range(100)]


def cached(snapshot: Snapshot, bytes_max: int = MANY) -> tuple[Snapshot, RowGroupCache]:
    """The snapshot with a cache of its own."""
    cache = RowGroupCache(bytes_max)
    return msgspec.structs.replace(snapshot, row_groups=cache), cache


def group_of(samples: list[Sample]) -> RowGroup:
    """An entry of these samples, which are sorted."""
    batch = batch_of(samples)
    return row_group(batch.series, batch.ts_ms, batch.value)


@pytest.mark.parametrize("seed", range(8))
def test_rows_are_those_of_the_blocks(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch after stretch of one series, of several and of all, in any order, is what the twin says."""
    monkeypatch.setattr(blocks, "GROUP_ROWS", 16)
    chance = random.Random(seed)
    directory = Directory(tmp_path)
    sealed = [some_samples(chance) for _ in range(4)]
    for samples in sealed:
        directory.seal(samples)
    head = some_samples(chance)
    snapshot, cache = cached(directory.snapshot([head]), chance.choice([0, 2_000, 9_000, MANY]))
    everything = resolve([one for samples in [*sealed, head] for one in samples])[0]
    for _ in range(30):
        ids = chance.choice([[0], [1], [2], [7], [0, 2], [0, 1, 2], None])
        start_ms, end_ms = chance.randint(-2, 52), chance.randint(-2, 52)
        found = read_samples(snapshot, None if ids is None else np.array(ids, np.uint32), start_ms, end_ms)
        assert samples_of(found) == select(everything, {0, 1, 2} if ids is None else set(ids), start_ms, end_ms)
        assert cache.facts()["bytes"] <= cache.bytes_max


def test_a_block_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another stretch, another series and another question find it decoded; one without the cache does not."""
    directory = Directory(tmp_path)
    directory.seal([(series, ts_ms, 0) for series in range(3) for ts_ms in range(10)])
    snapshot, cache = cached(directory.snapshot())
    assert len(read_samples(snapshot, ONE, 7, 9)) == 2

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(OpenBlock, "_columns", never)
    assert samples_of(read_samples(snapshot, ONE, 2, 4)) == [(1, 2, 0), (1, 3, 0)]
    assert len(read_samples(snapshot, np.array([2], np.uint32), *ALWAYS)) == 10
    assert {**cache.facts(), "bytes": 0} == {"hits": 2, "misses": 1, "bytes": 0, "entries": 1}
    with pytest.raises(AssertionError):
        read_samples(directory.snapshot(), ONE, *ALWAYS)


def test_a_question_larger_than_the_cache_goes_past_it(tmp_path: Path) -> None:
    """Entries of other queries stay, and no row group of the large query is kept."""
    directory = Directory(tmp_path)
    directory.seal([(1, ts_ms, 0) for ts_ms in range(10)])
    directory.seal([(series, ts_ms, 0) for series in range(2, 100) for ts_ms in range(10)])
    snapshot, cache = cached(directory.snapshot(), ENTRY_BYTES + 400)
    assert len(read_samples(snapshot, ONE, *ALWAYS)) == 10
    before = cache.facts()
    assert len(read_samples(snapshot, None, *ALWAYS)) == 990
    assert cache.facts() == before


def test_deleted_rows_do_not_come_back_from_the_cache(tmp_path: Path) -> None:
    """Rows that were decoded before they were deleted are left out of later answers."""
    directory = Directory(tmp_path)
    directory.seal([(series, ts_ms, 0) for series in range(3) for ts_ms in range(10)])
    snapshot, cache = cached(directory.snapshot())
    assert len(read_samples(snapshot, ONE, *ALWAYS)) == 10
    deleted = msgspec.structs.replace(snapshot, tombstones=(Tombstone(1, 3, 8, 99, 0, ONE),))
    assert [ts_ms for _, ts_ms, _ in samples_of(read_samples(deleted, ONE, *ALWAYS))] == [0, 1, 2, 8, 9]
    assert len(read_samples(deleted, np.array([2], np.uint32), *ALWAYS)) == 10
    assert cache.facts()["misses"] == 1


def test_damage_is_not_kept(tmp_path: Path) -> None:
    """A damaged block is reported each time it is read, as without the cache."""
    directory = Directory(tmp_path)
    directory.seal([(1, ts_ms, 0) for ts_ms in range(10)])
    directory.seal([(1, 20, 0)])
    broken, _ = directory.blocks()
    data = bytearray((tmp_path / broken.path).read_bytes())
    data[20] ^= 1
    (tmp_path / broken.path).write_bytes(data)
    snapshot, cache = cached(directory.snapshot())
    for _ in range(2):
        told: list[Damaged] = []
        assert samples_of(read_samples(snapshot, ONE, *ALWAYS, told.append)) == [(1, 20, 0)]
        assert [damage.path for damage in told] == [str(tmp_path / broken.path)]
        with pytest.raises(Damaged):
            read_samples(snapshot, ONE, *ALWAYS)
    assert cache.facts()["entries"] == 1


def test_the_bytes_stay_under_the_limit() -> None:
    """Another entry gives way; one too large alone is not kept, one that is there is not stored twice."""
    group = group_of([(1, ts_ms, 0) for ts_ms in range(10)])
    weight = group.nbytes + ENTRY_BYTES
    cache = RowGroupCache(2 * weight)
    for block_id in (7, 8, 9):
        cache.keep(block_id, 0, group)
        assert cache.find(block_id, 0) is group
    assert [cache.find(7, 0), cache.find(8, 0)].count(None) == 1
    assert cache.facts() == {"hits": 4, "misses": 1, "bytes": 2 * weight, "entries": 2}
    cache.keep(10, 0, group_of([(1, ts_ms, 0) for ts_ms in range(1_000)]))
    cache.keep(9, 0, group)
    assert cache.facts()["bytes"] == 2 * weight


def test_a_round_slightly_larger_than_the_cache_is_mostly_found() -> None:
    """Reading eleven entries in turn, with room for ten, finds most of them; those asked for last would find none."""
    group = group_of([(1, 1, 0)])
    cache = RowGroupCache(10 * (group.nbytes + ENTRY_BYTES))
    for turn in range(1_100):
        if cache.find(turn % 11, 0) is None:
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
            if cache.find(10_000, wanted) is None:
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
        if cache.find(*key) is None:
            cache.keep(*key, stored[key])
        assert cache.find(*key) is stored[key]
        if not chance.randrange(50):
            current = chance.sample(range(12), 6)
            cache.keep_only(current)
            stored = {key: rows for key, rows in stored.items() if key[0] in current}
    held = [rows for key, rows in stored.items() if cache.find(*key) is rows]
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
    assert cache.find(7, 0) is None
    cache.keep_only([])
    assert cache.facts()["bytes"] == 0


def test_rows_too_far_apart_for_an_entry_are_read_past_the_cache(tmp_path: Path) -> None:
    """Of a block of more than 49 days nothing is kept, and nothing is wrong."""
    directory = Directory(tmp_path)
    samples = [(1, 0, 0), (1, SPAN_MS_MAX + 1, 0), (2, 5, 0)]
    directory.seal(samples)
    directory.seal([(1, 7, 0), (1, 7 + SPAN_MS_MAX, 0)])
    snapshot, cache = cached(directory.snapshot())
    found = samples_of(read_samples(snapshot, None, *ALWAYS))
    assert found == [(1, 0, 0), (1, 7, 0), (1, SPAN_MS_MAX + 1, 0), (1, 7 + SPAN_MS_MAX, 0), (2, 5, 0)]
    assert samples_of(read_samples(snapshot, ONE, 8, SPAN_MS_MAX + 2)) == [(1, SPAN_MS_MAX + 1, 0)]
    assert cache.facts()["entries"] == 1


def test_an_entry_without_rows() -> None:
    """An entry without rows has no series."""
    group = group_of([])
    assert len(group.rows(None, *ALWAYS)) == 0
    assert group.starts.tolist() == [0]
