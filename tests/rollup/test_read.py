"""Windows read of a directory: the same function of the samples, whatever is written and wherever they lie."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.catalogue.catalogue import TierRow
from nissa.model.errors import Damaged
from nissa.model.ladder import DEFAULT_TIERS, Tier, WindowBatch
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.rollup.fold import fold_raw
from nissa.rollup.read import WindowRequest, compute_windows, late_windows, pieces_of, read_windows
from nissa.rollup.windows import join_windows
from nissa.store.read import RUN_ROWS_MAX, Snapshot, read_samples
from nissa.store.tier_blocks import write_windows
from oracle.columns import Sample
from oracle.directory import Directory
from oracle.ladder import same_bits, sketch_bytes, sketches_of, wider, windows_of

START_MS = 20_000 * DAY_MS
END_MS = START_MS + 2 * DAY_MS
TIERS = tuple(TierRow(tier) for tier in DEFAULT_TIERS)
NAMES = ("count", "nans", "sum", "min", "max", "first", "last", "m2", "resets", "carry")


def walks(seed: int, count: int) -> list[Sample]:
    """Samples of some series over two days, a few of them NaN or stale, in any order, some twice."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.normal(100, 20, count), 1)
    values[rng.random(count) < 0.05] = np.nan
    bits = values.view(np.uint64).copy()
    bits[rng.random(count) < 0.02] = 0x7FF0000000000002
    series, times = rng.integers(0, 5, count), START_MS + rng.integers(0, 2 * DAY_MS // 7_000, count) * 7_000
    return list(zip(series.tolist(), times.tolist(), bits.tolist(), strict=True))


def expect(place: int, samples: list[Sample], windows: list[WindowBatch]) -> None:
    """Windows are those of the slow twin, bit for bit."""
    expected = windows_of(samples, TIERS[0].tier.interval_ms)
    for row in TIERS[1 : place + 1]:
        expected = wider(expected, row.tier.interval_ms)
    sketches = sketches_of(samples, TIERS[place].tier.interval_ms) if place else {}
    found = 0
    for batch in windows:
        for at in range(len(batch)):
            key = (int(batch.series[at]), int(batch.start_ms[at]))
            for name in NAMES:
                assert same_bits(float(getattr(batch, name)[at]), float(expected[key][name])), (key, name)
            if batch.sketch is not None:
                data = batch.sketch.data[batch.sketch.offsets[at] : batch.sketch.offsets[at + 1]].tobytes()
                assert data == sketch_bytes(sketches[key])
            found += 1
    assert found == len(expected)


def always(**changes: object) -> WindowRequest:
    """All windows."""
    return msgspec.structs.replace(WindowRequest(None, START_MS, END_MS), **changes)


def written(directory: Directory, snapshot: Snapshot, place: int, until_ms: int) -> Snapshot:
    """The same with one tier written until then, as of the last frame sealed."""
    asked = always(end_ms=until_ms)
    number = directory.catalogue.new_id()
    tier = snapshot.tiers[place].tier
    block = run_whole(
        write_windows(directory.path, number, tier, compute_windows(snapshot, place, asked), directory.lsn, 1)
    )
    rows = list(snapshot.tiers)
    rows[place] = TierRow(tier, until_ms, directory.lsn)
    return Snapshot(
        directory.path, (*snapshot.blocks, block) if block else snapshot.blocks, snapshot.heads, tuple(rows)
    )


def snapshot_of(
    directory: Directory, tiers: tuple[TierRow, ...] = TIERS, heads: list[list[Sample]] | None = None
) -> Snapshot:
    """Everything now."""
    return msgspec.structs.replace(directory.snapshot(heads), tiers=tiers)


@pytest.mark.parametrize("place", range(4))
def test_nothing_is_written(tmp_path: Path, place: int) -> None:
    """All windows come from samples of blocks and head."""
    directory = Directory(tmp_path)
    samples = walks(place, 3_000)
    for first in range(0, 2_400, 600):
        directory.seal(samples[first : first + 600])
    snapshot = snapshot_of(directory, heads=[samples[2_400:2_700], samples[2_700:]])
    expect(place, samples, list(read_windows(snapshot, place, always())))


@pytest.mark.parametrize("seed", range(4))
def test_written_ones_and_late_ones(tmp_path: Path, seed: int) -> None:
    """Tiers written until different times; later samples before those times, in blocks and head, count all the same."""
    directory = Directory(tmp_path)
    samples = walks(seed, 3_000)
    directory.seal(samples[:1_500])
    snapshot = snapshot_of(directory)
    for place, hours in enumerate((30, 30, 24, 24)):
        snapshot = written(directory, snapshot, place, START_MS + hours * HOUR_MS)
    directory.seal(samples[1_500:2_200])
    tiers = [block for block in snapshot.blocks if block.kind != "raw"]
    snapshot = Snapshot(
        directory.path,
        (*directory.blocks(), *tiers),
        snapshot_of(directory, heads=[samples[2_200:]]).heads,
        snapshot.tiers,
    )
    for place in range(4):
        expect(place, samples, list(read_windows(snapshot, place, always())))


def test_a_part_of_them(tmp_path: Path) -> None:
    """Some series of a range, without sketches."""
    directory = Directory(tmp_path)
    samples = walks(9, 2_000)
    directory.seal(samples)
    snapshot = written(directory, snapshot_of(directory), 1, START_MS + DAY_MS)
    asked = WindowRequest(np.array([1, 4], np.uint32), START_MS + 20 * HOUR_MS, START_MS + 30 * HOUR_MS, sketches=False)
    wanted = [one for one in samples if one[0] in (1, 4) and asked.start_ms <= one[1] < asked.end_ms]
    read = list(read_windows(snapshot, 1, asked))
    assert all(batch.sketch is None for batch in read)
    expect(1, wanted, read)


def test_late_windows_are_those_of_later_frames(tmp_path: Path) -> None:
    """Rows before the written time, of blocks behind the LSN and of heads; others are not late."""
    directory = Directory(tmp_path)
    directory.seal([(1, START_MS, 0)])
    row = TierRow(Tier(MINUTE_MS, DAY_MS), START_MS + HOUR_MS, directory.lsn)
    directory.seal([(2, START_MS + 5, 0), (2, START_MS + 6, 0), (3, START_MS + HOUR_MS, 0)])
    snapshot = snapshot_of(directory, heads=[[(7, START_MS + MINUTE_MS, 0), (7, START_MS + 2 * HOUR_MS, 0)]])
    series, starts = late_windows(snapshot, row, always())
    assert (series.tolist(), starts.tolist()) == ([2, 7], [START_MS, START_MS + MINUTE_MS])
    series, starts = late_windows(snapshot, row, always(series=np.array([7, 8], np.uint32)))
    assert series.tolist() == [7]


def test_pieces_are_few() -> None:
    """Neighbours within an hour are one piece; however many stretches there are, pieces are limited."""
    hour = np.int64(HOUR_MS)
    starts = np.array([5, 0, 0, 10 * 60], np.int64) * MINUTE_MS
    pieces = pieces_of((np.array([3, 1, 2, 1], np.uint32), starts), MINUTE_MS)
    assert [(one.series.tolist(), one.start_ms, one.end_ms) for one in pieces] == [
        ([1, 2, 3], 0, 6 * MINUTE_MS),
        ([1], 600 * MINUTE_MS, 601 * MINUTE_MS),
    ]
    many = np.arange(1_000, dtype=np.int64) * 3 * hour
    assert 1 <= len(pieces_of((np.zeros(1_000, np.uint32), many), MINUTE_MS)) <= 64
    rng = np.random.default_rng(1)
    spread = np.cumsum(rng.integers(1, 100, 1_000)).astype(np.int64) * hour
    assert 32 <= len(pieces_of((np.zeros(1_000, np.uint32), spread), MINUTE_MS)) <= 64


def test_damage_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    """A damaged block of windows is left out with ``on_damage``, and raised without."""
    directory = Directory(tmp_path)
    directory.seal(walks(3, 500))
    snapshot = written(directory, snapshot_of(directory), 1, START_MS + DAY_MS)
    block = snapshot.blocks[-1]
    path = tmp_path / block.path
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(Damaged, match="5m-"):
        list(read_windows(snapshot, 1, always()))
    damages: list[Damaged] = []
    read = list(read_windows(snapshot, 1, always(on_damage=damages.append)))
    assert len(damages) == 1
    assert all((batch.start_ms >= START_MS + DAY_MS).all() for batch in read)


def test_a_series_that_goes_on_and_on(tmp_path: Path) -> None:
    """Of one series more rows than are read at a time, from several blocks: windows at the cuts are whole."""
    directory = Directory(tmp_path)
    count = RUN_ROWS_MAX + 70_000
    samples = [(series, START_MS + at * 101, (at * 7919) << 30) for series in (1, 2) for at in range(count)]
    directory.seal(samples[::2])
    directory.seal(samples[1::2])
    asked = WindowRequest(None, START_MS, START_MS + count * 101)
    batches = list(compute_windows(snapshot_of(directory), 1, asked))
    assert sum(int(batch.count.sum()) for batch in batches) == 2 * count
    starts = [key for batch in batches for key in zip(batch.series.tolist(), batch.start_ms.tolist(), strict=True)]
    assert len(starts) == len(set(starts))
    whole = read_samples(directory.snapshot(), None, asked.start_ms, asked.end_ms)
    (expected,) = fold_raw([whole], DEFAULT_TIERS)[1:]
    assert np.array_equal(join_windows(batches).m2, expected.m2)
