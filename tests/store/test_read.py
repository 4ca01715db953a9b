"""Reading blocks and heads as one, against a dictionary of everything."""

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from nissa.files.checked_file import FileGone
from nissa.model.columns import SampleBatch
from nissa.model.errors import Damaged
from nissa.store import read
from nissa.store.read import Snapshot, merge_runs, read_samples, stream_samples
from oracle.columns import STALE_BITS, Sample, resolve, select
from oracle.directory import ALWAYS, Directory, batch_of, samples_of

VALUES = [STALE_BITS, 0x7FF8 << 48, 1 << 63, 0, 0x3FF << 52]


def random_samples(chance: random.Random, count: int, series: int = 30, times: int = 60) -> list[Sample]:
    """Samples with many repetitions of keys."""
    return [(chance.randrange(series), chance.randrange(times), chance.choice(VALUES)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(12))
def test_any_overlap_of_blocks_and_heads(tmp_path: Path, seed: int) -> None:
    """Whatever lies in blocks, in heads or in both: all selections and intervals read as the twin says."""
    chance = random.Random(seed)
    directory = Directory(tmp_path)
    sealed = [random_samples(chance, chance.randint(0, 300)) for _ in range(chance.randint(0, 5))]
    heads = [random_samples(chance, chance.randint(0, 200)) for _ in range(chance.randint(0, 3))]
    for samples in sealed:
        directory.seal(samples)
    snapshot = directory.snapshot(heads)
    everything = resolve([sample for samples in [*sealed, *heads] for sample in samples])[0]
    for _ in range(25):
        ids = None if chance.random() < 0.3 else chance.sample(range(40), chance.randint(0, 20))
        start_ms, end_ms = chance.randint(-2, 62), chance.randint(-2, 62)
        rows_max = chance.choice([1, 7, 100, 100_000])
        want = select(everything, set(range(40)) if ids is None else set(ids), start_ms, end_ms)
        wanted = None if ids is None else np.array(ids, np.uint32)
        batches = list(stream_samples(snapshot, wanted, start_ms, end_ms, rows_max))
        assert [one for batch in batches for one in samples_of(batch)] == want
        assert all(0 < len(batch) <= rows_max for batch in batches)
        assert samples_of(read_samples(snapshot, wanted, start_ms, end_ms)) == want


def test_heads_too_large_to_copy_are_sorted_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many chosen rows of the head give the same answer as few."""
    chance = random.Random(9)
    heads = [random_samples(chance, 500) for _ in range(3)]
    snapshot = Snapshot(tmp_path, (), tuple(batch_of(head) for head in heads))
    wanted = np.arange(5, 25, dtype=np.uint32)
    want = samples_of(read_samples(snapshot, wanted, 10, 50))
    monkeypatch.setattr(read, "HEAD_COPY_ROWS_MAX", 100)
    assert samples_of(read_samples(snapshot, wanted, 10, 50)) == want
    assert want == select(resolve([sample for head in heads for sample in head])[0], set(range(5, 25)), 10, 50)


def grid_run(series: range, times: range, rows: int) -> list[SampleBatch]:
    """A run of batches of ``rows`` rows."""
    samples = [(one, ts_ms, 0) for one in series for ts_ms in times]
    return [batch_of(samples[at : at + rows]) for at in range(0, len(samples), rows)]


@pytest.mark.parametrize("aim", [1, 50, 10_000])
def test_runs_merge_whole_series(monkeypatch: pytest.MonkeyPatch, aim: int) -> None:
    """Runs cut at any row come out in order, every series in one batch while it fits."""
    monkeypatch.setattr(read, "MERGED_ROWS_AIM", aim)
    runs = [grid_run(range(40), range(10), 7), grid_run(range(5, 30, 3), range(5, 15), 33), []]
    runs.append(grid_run(range(39, 60), range(3), 1))
    want = resolve([one for run in runs for batch in run for one in samples_of(batch)])[0]
    batches = list(merge_runs([iter(run) for run in runs]))
    assert [one for batch in batches for one in samples_of(batch)] == want
    ends = [(int(batch.series[0]), int(batch.series[-1])) for batch in batches]
    assert all(before[1] < after[0] for before, after in pairwise(ends))


def test_a_series_that_does_not_fit_comes_in_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One series over many row groups of several runs is handed out in pieces, in bounded memory."""
    monkeypatch.setattr(read, "RUN_ROWS_MAX", 20)
    runs = [grid_run(range(3), range(0, 500, 2), 10), grid_run(range(3), range(0, 500, 3), 10)]
    want = resolve([one for run in runs for batch in run for one in samples_of(batch)])[0]
    batches = list(merge_runs([iter(run) for run in runs]))
    assert [one for batch in batches for one in samples_of(batch)] == want
    assert max(len(batch) for batch in batches) <= 60


def test_nothing_is_read_for_nothing(tmp_path: Path) -> None:
    """Empty selections, empty intervals and an empty directory give no batch; blocks outside are not opened."""
    directory = Directory(tmp_path)
    directory.seal([(5, 100, 0)])
    (tmp_path / directory.blocks()[0].path).unlink()
    snapshot = directory.snapshot([[]])
    for ids, interval in (([], ALWAYS), ([5], (100, 100)), ([5], (9, 1)), ([4, 6], ALWAYS), ([5], (101, 200))):
        assert list(stream_samples(snapshot, np.array(ids, np.uint32), *interval, 10)) == []
    assert len(read_samples(Snapshot(tmp_path), None, *ALWAYS)) == 0
    with pytest.raises(FileGone):
        list(stream_samples(snapshot, np.array([5], np.uint32), *ALWAYS, 10))


def test_damage_is_raised_or_told_and_left_out(tmp_path: Path) -> None:
    """A damaged block stops the answer, unless the caller asks for the rest and gets the damage reported."""
    directory = Directory(tmp_path)
    directory.seal([(1, 1, 0)])
    directory.seal([(1, 2, 0)])
    directory.seal([(1, 3, 0)])
    first, second, _ = directory.blocks()
    (tmp_path / first.path).write_bytes(b"short")
    data = bytearray((tmp_path / second.path).read_bytes())
    data[20] ^= 1
    (tmp_path / second.path).write_bytes(data)
    with pytest.raises(Damaged, match=first.path):
        read_samples(directory.snapshot(), None, *ALWAYS)
    told: list[Damaged] = []
    assert samples_of(read_samples(directory.snapshot(), None, *ALWAYS, told.append)) == [(1, 3, 0)]
    assert [damage.path for damage in told] == [str(tmp_path / first.path), str(tmp_path / second.path)]


def test_a_snapshot_outlives_the_files_it_has_open(tmp_path: Path) -> None:
    """Blocks deleted after the first batch do not stop the stream."""
    directory = Directory(tmp_path)
    for ts_ms in range(3):
        directory.seal([(series, ts_ms, 0) for series in range(50)])
    stream = stream_samples(directory.snapshot(), None, *ALWAYS, 10)
    got = samples_of(next(stream))
    for block in directory.blocks():
        (tmp_path / block.path).unlink()
    got += [one for batch in stream for one in samples_of(batch)]
    assert got == [(series, ts_ms, 0) for series in range(50) for ts_ms in range(3)]
