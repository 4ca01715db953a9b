"""Exact quantiles: those of the samples where all are there, nothing where one is missing."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.catalogue.catalogue import TierRow
from nissa.model.ladder import DEFAULT_TIERS, WindowBatch
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.rollup import exact
from nissa.rollup.exact import exact_quantiles, grouped_quantiles
from nissa.rollup.read import WindowRequest, read_windows
from nissa.rollup.windows import join_windows
from nissa.store.read import Snapshot
from nissa.store.tier_blocks import write_windows
from oracle.columns import Sample
from oracle.directory import Directory

START_MS = 20_000 * DAY_MS
END_MS = START_MS + DAY_MS
TIERS = tuple(TierRow(tier) for tier in DEFAULT_TIERS)
ASKED = (0.0, 0.5, 0.99, 1.0)
PLENTY = 10**9


def walks(seed: int, count: int) -> list[Sample]:
    """Distinct samples of some series over a day in any order, some of them NaN, infinite or stale."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.normal(100, 200, count), 1)
    values[rng.random(count) < 0.05] = np.nan
    values[rng.random(count) < 0.02] = np.inf
    bits = values.view(np.uint64).copy()
    bits[rng.random(count) < 0.02] = 0x7FF0000000000002
    keys = rng.choice(5 * DAY_MS // 10_000, count, replace=False)
    times = START_MS + keys // 5 * 10_000
    return list(zip((keys % 5).tolist(), times.tolist(), bits.tolist(), strict=True))


def windows_in(snapshot: Snapshot, place: int) -> WindowBatch:
    """All windows of a tier."""
    return join_windows(list(read_windows(snapshot, place, WindowRequest(None, START_MS, END_MS))))


def check(samples: list[Sample], windows: WindowBatch, found: exact.ExactQuantiles, interval_ms: int) -> None:
    """Check that exact quantiles equal numpy's, and that other windows have none."""
    for at in range(len(windows)):
        if not found.exact[at]:
            assert np.isnan(found.values[at]).all()
            continue
        series, start_ms = int(windows.series[at]), int(windows.start_ms[at])
        inside = [bits for one, ts_ms, bits in samples if one == series and 0 <= ts_ms - start_ms < interval_ms]
        values = np.array(inside, np.uint64).view(np.float64)
        values = np.sort(values[~np.isnan(values)])
        for probability, quantile in zip(ASKED, found.values[at], strict=True):
            rank = probability * (len(values) - 1)
            low, high = values[int(np.floor(rank))], values[int(np.ceil(rank))]
            if np.isfinite(high) or low == high:
                expected = low if low == high else low + (high - low) * (rank - np.floor(rank))
                assert quantile == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_all_samples_are_there(tmp_path: Path, place: int) -> None:
    """With all samples in blocks and heads, every window with a number is exact, written or not."""
    directory, samples = Directory(tmp_path), walks(place, 6_000)
    directory.seal(samples[:3_000])
    directory.seal(samples[3_000:4_000])
    snapshot = msgspec.structs.replace(directory.snapshot([samples[4_000:]]), tiers=TIERS)
    windows = windows_in(snapshot, place)
    interval_ms = DEFAULT_TIERS[place].interval_ms
    found = exact_quantiles(snapshot, windows, interval_ms, ASKED, PLENTY)
    assert (found.exact == (windows.count > 0)).all()
    assert found.spent == int((windows.count[found.exact].astype(int) + windows.nans[found.exact]).sum())
    check(samples, windows, found, interval_ms)


def test_a_series_longer_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window may lie in several batches."""
    monkeypatch.setattr(exact, "BATCH_ROWS_MAX", 100)
    directory, samples = Directory(tmp_path), walks(9, 8_000)
    directory.seal(samples)
    snapshot = msgspec.structs.replace(directory.snapshot(), tiers=TIERS)
    windows = windows_in(snapshot, 3)
    found = exact_quantiles(snapshot, windows, DAY_MS, ASKED, PLENTY)
    assert found.exact.all()
    check(samples, windows, found, DAY_MS)


def test_what_is_gone_is_not_exact(tmp_path: Path) -> None:
    """Samples dropped, damaged or merged away leave their windows to the estimate; the others are exact."""
    directory, samples = Directory(tmp_path), walks(4, 6_000)
    early = [one for one in samples if one[1] < START_MS + 6 * HOUR_MS + 90_000]
    late = [one for one in samples if one[1] >= START_MS + 6 * HOUR_MS + 90_000]
    directory.seal(early)
    directory.seal(late)
    snapshot = msgspec.structs.replace(directory.snapshot(), tiers=TIERS)
    asked = WindowRequest(None, START_MS, END_MS)
    number = directory.catalogue.new_id()
    block = run_whole(write_windows(tmp_path, number, TIERS[1].tier, read_windows(snapshot, 1, asked), 2, 1))
    assert block is not None
    rows = (TIERS[0], TierRow(TIERS[1].tier, END_MS, 2))
    first, second = directory.blocks()
    dropped = Snapshot(tmp_path, (second, block), (), rows)
    windows = windows_in(dropped, 1)
    found = exact_quantiles(dropped, windows, 5 * MINUTE_MS, ASKED, PLENTY)
    assert (found.exact == ((windows.count > 0) & (windows.start_ms > START_MS + 6 * HOUR_MS))).all()
    check(samples, windows, found, 5 * MINUTE_MS)

    both = Snapshot(tmp_path, (first, second, block), (), rows)
    (tmp_path / first.path).write_bytes(b"x" * first.bytes)
    found = exact_quantiles(both, windows, 5 * MINUTE_MS, ASKED, PLENTY)
    assert not found.exact[windows.start_ms < START_MS + 6 * HOUR_MS].any()
    after = windows.start_ms > START_MS + 6 * HOUR_MS
    assert (found.exact[after] == (windows.count[after] > 0)).all()
    check(samples, windows, found, 5 * MINUTE_MS)
    (tmp_path / second.path).unlink()
    assert not exact_quantiles(both, windows, 5 * MINUTE_MS, ASKED, PLENTY).exact.any()


def test_the_budget_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first windows are exact until it is spent; too large ones never are."""
    directory, samples = Directory(tmp_path), walks(5, 4_000)
    directory.seal(samples)
    snapshot = msgspec.structs.replace(directory.snapshot(), tiers=TIERS)
    windows = windows_in(snapshot, 2)
    found = exact_quantiles(snapshot, windows, HOUR_MS, ASKED, 1_000)
    count = int(found.exact.sum())
    assert found.exact[:count].all()
    assert 900 < found.spent <= 1_000
    assert exact_quantiles(snapshot, windows, HOUR_MS, ASKED, 0).spent == 0
    monkeypatch.setattr(exact, "WINDOW_SAMPLES_MAX", 30)
    found = exact_quantiles(snapshot, windows, HOUR_MS, ASKED, PLENTY)
    assert (found.exact == (windows.count + windows.nans <= 30)).all()


def test_series_of_one_group_are_taken_together(tmp_path: Path) -> None:
    """As if they were one series: numbers are counted, and their quantiles are numpy's; other series do not count."""
    samples, directory = walks(3, 3_000), Directory(tmp_path)
    directory.seal(samples)
    series, groups = np.array([0, 1, 3], np.uint32), np.array([1, 0, 1], np.int64)
    span_ms = START_MS, START_MS + 6 * HOUR_MS
    asked = np.array(ASKED)
    found = grouped_quantiles(directory.snapshot(), series, groups, span_ms, 10 * MINUTE_MS, asked)
    group_of = dict(zip(series.tolist(), groups.tolist(), strict=True))
    cells: dict[tuple[int, int], list[float]] = {}
    for one, ts_ms, bits in samples:
        value = float(np.uint64(bits).view(np.float64))
        if one in group_of and span_ms[0] <= ts_ms < span_ms[1] and not np.isnan(value):
            cells.setdefault((group_of[one], ts_ms // (10 * MINUTE_MS) * 10 * MINUTE_MS), []).append(value)
    places = list(zip(found.group.tolist(), found.window_ms.tolist(), strict=True))
    assert places == sorted(cells)
    assert found.count.tolist() == [len(cells[place]) for place in places]
    for place, quantiles in zip(places, found.values, strict=True):
        if np.isfinite(cells[place]).all():
            assert quantiles == pytest.approx(np.quantile(cells[place], ASKED), rel=1e-12)
