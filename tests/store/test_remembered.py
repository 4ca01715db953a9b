"""What a question has read of a series is not read again, and is the same rows."""

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.model.errors import Damaged
from nissa.store.blocks import choose_series
from nissa.store.checked_file import FileGone
from nissa.store.read import read_samples
from nissa.store.remembered import Remembered, within
from oracle.columns import Sample, resolve, select
from oracle.directory import ALWAYS, Directory, batch_of, samples_of

ONE = np.array([1], np.uint32)


def some_samples(chance: random.Random) -> list[Sample]:
    """Samples of three series."""
    return [(chance.randrange(3), chance.randrange(50), 0x3FF << 52) for _ in range(100)]


@pytest.mark.parametrize("seed", range(8))
def test_remembered_rows_are_those_of_the_blocks(tmp_path: Path, seed: int) -> None:
    """Stretch after stretch of one series, of several and of all, in any order, is what the twin says."""
    chance = random.Random(seed)
    directory = Directory(tmp_path)
    sealed = [some_samples(chance) for _ in range(4)]
    for samples in sealed:
        directory.seal(samples)
    head = some_samples(chance)
    snapshot = msgspec.structs.replace(directory.snapshot([head]), remembered=Remembered(chance.choice([0, 40, 1000])))
    everything = resolve([one for samples in [*sealed, head] for one in samples])[0]
    for _ in range(30):
        ids = set(chance.choice([[0], [1], [2], [7], [0, 2], [0, 1, 2]]))
        start_ms, end_ms = chance.randint(-2, 52), chance.randint(-2, 52)
        found = read_samples(snapshot, np.array(sorted(ids), np.uint32), start_ms, end_ms)
        assert samples_of(found) == select(everything, ids, start_ms, end_ms)


def test_a_block_is_read_once(tmp_path: Path) -> None:
    """Another stretch of the same series needs no file any more; another series, and another question, do."""
    directory = Directory(tmp_path)
    directory.seal([(series, ts_ms, 0) for series in range(3) for ts_ms in range(10)])
    snapshot = directory.snapshot()
    asked = msgspec.structs.replace(snapshot, remembered=Remembered())
    assert len(read_samples(asked, ONE, 7, 9)) == 2
    (block,) = directory.blocks()
    (tmp_path / block.path).unlink()
    assert samples_of(read_samples(asked, ONE, 2, 5)) == [(1, 2, 0), (1, 3, 0), (1, 4, 0)]
    with pytest.raises(FileGone):
        read_samples(asked, np.array([2], np.uint32), *ALWAYS)
    with pytest.raises(FileGone):
        read_samples(snapshot, ONE, *ALWAYS)


def test_damage_is_not_remembered(tmp_path: Path) -> None:
    """A damaged block is told each time it is asked for, as without remembering."""
    directory = Directory(tmp_path)
    directory.seal([(1, ts_ms, 0) for ts_ms in range(10)])
    directory.seal([(1, 20, 0)])
    broken, _ = directory.blocks()
    data = bytearray((tmp_path / broken.path).read_bytes())
    data[20] ^= 1
    (tmp_path / broken.path).write_bytes(data)
    asked = msgspec.structs.replace(directory.snapshot(), remembered=Remembered())
    for _ in range(2):
        told: list[Damaged] = []
        assert samples_of(read_samples(asked, ONE, *ALWAYS, told.append)) == [(1, 20, 0)]
        assert [damage.path for damage in told] == [str(tmp_path / broken.path)]
        with pytest.raises(Damaged):
            read_samples(asked, ONE, *ALWAYS)


def test_only_as_many_rows_are_kept_as_there_is_room_for(tmp_path: Path) -> None:
    """What does not fit is read again; smaller parts may still find room."""
    directory = Directory(tmp_path)
    large, small = [(1, ts_ms, 0) for ts_ms in range(10)], [(1, 20, 0)]
    directory.seal(large)
    directory.seal(small)
    first, second = directory.blocks()
    remembered, choice = Remembered(rows_max=9), choose_series(ONE)
    for block, samples in ((first, large), (second, small)):
        remembered.keep(block, choice, batch_of(samples))
    assert remembered.find(first, choice) is None
    kept = remembered.find(second, choice)
    assert kept is not None
    assert samples_of(kept) == small
    assert samples_of(within(batch_of(large), 8, 99)) == [(1, 8, 0), (1, 9, 0)]
