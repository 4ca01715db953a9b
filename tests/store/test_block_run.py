"""Rows of a block, from the file and out of the cache of row groups, which has the same rows."""

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.model.errors import Damaged
from nissa.store import block_run, blocks
from nissa.store.blocks import OpenBlock
from nissa.store.read import Snapshot, read_samples
from nissa.store.row_groups import ENTRY_BYTES, SPAN_MS_MAX, RowGroupCache
from nissa.store.tombstones import Tombstone
from oracle.columns import Sample, resolve, select
from oracle.directory import ALWAYS, Directory, samples_of

ONE = np.array([1], np.uint32)
MANY = 1 << 30


def some_samples(chance: random.Random) -> list[Sample]:
    """Samples of three series."""
    return [(chance.randrange(3), chance.randrange(50), 0x3FF << 52) for _ in range(100)]


def cached(snapshot: Snapshot, bytes_max: int = MANY) -> tuple[Snapshot, RowGroupCache]:
    """The snapshot with a cache of its own."""
    cache = RowGroupCache(bytes_max)
    return msgspec.structs.replace(snapshot, row_groups=cache), cache


@pytest.mark.parametrize("seed", range(8))
def test_rows_are_those_of_the_blocks(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch after stretch of one series, of several and of all, in any order, is what the twin says."""
    monkeypatch.setattr(blocks, "GROUP_ROWS", 16)
    chance = random.Random(seed)
    monkeypatch.setattr(block_run, "GROUPS_TOGETHER", chance.choice([1, 3, 16]))
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


def test_rows_in_memory_are_those_of_a_row_group_or_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows of many row groups come in batches of one, and are counted as such."""
    monkeypatch.setattr(blocks, "GROUP_ROWS", 16)
    monkeypatch.setattr(block_run, "GROUP_ROWS", 16)
    directory = Directory(tmp_path)
    directory.seal([(series, ts_ms, 0) for series in range(8) for ts_ms in range(40)])
    (block,) = directory.blocks()
    opened, held, most = OpenBlock(tmp_path, block), 0, 0

    def check(more: int = 0) -> None:
        nonlocal held, most
        held += more
        most = max(most, held)

    run = block_run.block_run(opened, None, *ALWAYS, check=check, cache=RowGroupCache(MANY))
    sizes = [len(batch) for batch in run]
    assert (sum(sizes), max(sizes), held) == (320, 16, 0)
    assert most <= 2 * 16 * block_run.ROW_BYTES
