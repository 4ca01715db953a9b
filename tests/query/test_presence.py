"""Series in a range of time: exact while samples are kept, by windows afterwards, without reading most blocks."""

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nissa.catalogue.catalogue import BlockRow, TierRow
from nissa.files.names import RAW_KIND
from nissa.model.allowance import no_check
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.query import presence
from nissa.query.presence import present_series
from nissa.rollup.read import WindowRequest, compute_windows
from nissa.rollup.windows import floor_ms
from nissa.store import block_series
from nissa.store.block_footer import read_footer
from nissa.store.quarantine import QuarantineRow
from nissa.store.read import Snapshot
from nissa.store.tier_blocks import write_windows
from oracle.directory import Directory

START_MS = 20_000 * DAY_MS
SERIES = 60
SPAN_MS = 2 * HOUR_MS
ROWS_MAX = 1_000_000

Found = list[tuple[int, int]]  # series, ts_ms


def samples_of(seed: int) -> list[tuple[int, int]]:
    """Series that live for some hours of a day each, some of them for a moment."""
    chance = random.Random(seed)
    print("seed", seed)
    out = set()
    for series in range(SERIES):
        begin_ms = chance.randrange(DAY_MS)
        end_ms = min(begin_ms + chance.choice([1, MINUTE_MS, HOUR_MS, 8 * HOUR_MS]), DAY_MS)
        out |= {(series, START_MS + at) for at in range(begin_ms, end_ms, chance.choice([30_000, 7 * MINUTE_MS]))}
    return sorted(out)


def directory_of(path: Path, samples: Found) -> Snapshot:
    """Raw blocks of two hours, the last two hours in memory; all tiers of the first twenty hours written by spans."""
    directory = Directory(path)
    for first_ms in range(START_MS, START_MS + 11 * SPAN_MS, SPAN_MS):
        inside = [(series, ts_ms, 0) for series, ts_ms in samples if first_ms <= ts_ms < first_ms + SPAN_MS]
        if inside:
            directory.seal(inside)
    rows = [TierRow(tier) for tier in DEFAULT_TIERS]
    for number, tier in enumerate(DEFAULT_TIERS):
        until_ms = floor_ms(START_MS + 20 * HOUR_MS, tier.interval_ms)
        snapshot = Snapshot(path, tuple(directory.catalogue.blocks()), (), tuple(rows))
        for first_ms in range(START_MS, until_ms, 5 * HOUR_MS):
            asked = WindowRequest(None, first_ms, min(first_ms + 5 * HOUR_MS, until_ms))
            batches = compute_windows(snapshot, number, asked)
            block = run_whole(write_windows(path, directory.catalogue.new_id(), tier, batches, directory.lsn, 1))
            directory.catalogue.commit_tiers(rows, [block] if block else [])
        rows[number] = TierRow(tier, until_ms, directory.lsn)
        directory.catalogue.commit_tiers(rows)
    late = [(series, ts_ms) for series, ts_ms in samples if ts_ms >= START_MS + 11 * SPAN_MS]
    columns = np.array([one[0] for one in late], np.uint32), np.array([one[1] for one in late], np.int64)
    return Snapshot(
        path, tuple(directory.catalogue.blocks()), (SampleBatch(*columns, np.zeros(len(late))),), tuple(rows)
    )


def found_in(snapshot: Snapshot, span: tuple[int, int], rows_max: int = ROWS_MAX) -> set[int]:
    """The answer about all series; damage is none."""

    def fail(damage: Damaged) -> None:
        raise damage

    wanted = np.arange(SERIES, dtype=np.uint32)
    return set(present_series(snapshot, wanted, span, rows_max, no_check, fail).tolist())


def exactly(samples: Found, span: tuple[int, int]) -> set[int]:
    """Series with a sample in the range."""
    return {series for series, ts_ms in samples if span[0] <= ts_ms < span[1]}


def spans(seed: int) -> list[tuple[int, int]]:
    """Ranges of all lengths, and those without ends."""
    chance = random.Random(seed)
    out = [(-(2**63), 2**63 - 1), (START_MS, 2**63 - 1), (-(2**63), START_MS + DAY_MS // 2), (START_MS, START_MS)]
    for _ in range(60):
        start_ms = START_MS + chance.randrange(-HOUR_MS, DAY_MS)
        out.append((start_ms, start_ms + chance.choice([1, 90_000, HOUR_MS, 5 * HOUR_MS, DAY_MS])))
    return out


@pytest.mark.parametrize("seed", range(3))
def test_while_samples_are_kept_answers_are_exact(tmp_path: Path, seed: int) -> None:
    """Head, blocks inside of the range, and rows of those at its ends."""
    samples = samples_of(seed)
    snapshot = directory_of(tmp_path, samples)
    for span in spans(seed):
        assert found_in(snapshot, span) == exactly(samples, span), span


@pytest.mark.parametrize("seed", range(3))
def test_when_samples_are_gone_windows_answer(tmp_path: Path, seed: int) -> None:
    """Nothing is missed, and no more is said than the finest windows that are left do."""
    samples = samples_of(seed)
    snapshot = directory_of(tmp_path, samples)
    raw = [block for block in snapshot.blocks if block.kind == RAW_KIND]
    for count, gone in ((len(raw) // 2, ()), (len(raw) - 2, ("1m",)), (len(raw) - 2, ("1m", "5m"))):
        dropped = {block.id for block in sorted(raw, key=lambda one: one.max_ms)[:count]}
        kept = tuple(one for one in snapshot.blocks if one.id not in dropped and one.kind not in gone)
        left = msgspec.structs.replace(snapshot, blocks=kept, expired=expired_of(snapshot, kept))
        finest_ms = next(row.tier.interval_ms for row in left.tiers if row.tier.name not in gone)
        for span in spans(seed):
            found = found_in(left, span)
            wide = (floor_ms(max(span[0], -(2**62)), finest_ms), -(-min(span[1], 2**62) // finest_ms) * finest_ms)
            assert found >= exactly(samples, span), (gone, span)
            assert found <= exactly(samples, wide), (gone, span)


def expired_of(snapshot: Snapshot, kept: tuple[BlockRow, ...]) -> dict[str, int]:
    """``expired`` of the catalogue once all blocks but these have been dropped."""
    expired: dict[str, int] = {}
    for block in snapshot.blocks:
        if block not in kept:
            expired[block.kind] = max(block.max_ms, expired.get(block.kind, block.max_ms))
    return expired


def test_old_samples_that_are_left_hide_no_windows(tmp_path: Path) -> None:
    """A pin keeps the first block of samples: of the times behind it, which have expired, windows answer."""
    samples = samples_of(7)
    snapshot = directory_of(tmp_path, samples)
    raw = sorted((block for block in snapshot.blocks if block.kind == RAW_KIND), key=lambda one: one.max_ms)
    dropped = {block.id for block in raw[1:-2]}
    kept = tuple(block for block in snapshot.blocks if block.id not in dropped)
    left = msgspec.structs.replace(snapshot, blocks=kept, expired=expired_of(snapshot, kept))
    for span in spans(7):
        wide = (floor_ms(max(span[0], -(2**62)), MINUTE_MS), -(-min(span[1], 2**62) // MINUTE_MS) * MINUTE_MS)
        assert exactly(samples, span) <= found_in(left, span) <= exactly(samples, wide), span


def test_blocks_inside_of_the_range_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks at the ends of the range are not read either if their series are found elsewhere."""
    samples = [(series, START_MS + at * MINUTE_MS) for series in range(SERIES) for at in range(24 * 60)]
    snapshot = directory_of(tmp_path, samples)

    def never(*_: object) -> None:
        raise AssertionError("a block was opened for its rows")

    monkeypatch.setattr(presence, "OpenBlock", never)
    monkeypatch.setattr(presence, "OpenTierBlock", never)
    for span in ((START_MS, START_MS + DAY_MS), (START_MS + HOUR_MS + 1, START_MS + DAY_MS)):
        assert found_in(snapshot, span) == set(range(SERIES))


def test_over_the_bound_series_count_as_present(tmp_path: Path) -> None:
    """Beyond the bound of rows, all series of the block count as present, and no others."""
    samples = [(series, START_MS + series * MINUTE_MS) for series in range(SERIES)]
    snapshot = directory_of(tmp_path, [*samples, (0, START_MS + 5 * HOUR_MS)])
    span = (START_MS + 30 * MINUTE_MS, START_MS + 31 * MINUTE_MS)
    assert found_in(snapshot, span) == {30}
    assert found_in(snapshot, span, 0) == set(range(SERIES))
    assert found_in(snapshot, (START_MS + 5 * HOUR_MS, START_MS + 6 * HOUR_MS), 0) == {0}


def test_only_series_that_are_wanted_are_given(tmp_path: Path) -> None:
    """Series that are not among the wanted ones are not returned."""
    snapshot = directory_of(tmp_path, samples_of(1))
    wanted: SeriesColumn
    for ids in ([], [3], [5, 17, 40]):
        wanted = np.array(ids, np.uint32)
        found = present_series(snapshot, wanted, (START_MS, START_MS + DAY_MS), ROWS_MAX, no_check, raise_it)
        assert found.tolist() == [one for one in ids if one in exactly(samples_of(1), (START_MS, START_MS + DAY_MS))]


def raise_it(damage: Damaged) -> None:
    """Raise the damage: none is expected."""
    raise damage


def test_where_a_block_is_damaged_all_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a damaged block are not known; the same for a block in quarantine."""
    samples = [(0, START_MS), (1, START_MS + 3 * HOUR_MS), (2, START_MS + 7 * HOUR_MS)]
    snapshot = directory_of(tmp_path, samples)
    raw = [block for block in snapshot.blocks if block.kind == RAW_KIND]
    path = tmp_path / raw[1].path
    wanted = np.arange(3, dtype=np.uint32)
    row = QuarantineRow(raw[1].path, RAW_KIND, 1, raw[1].min_ms, raw[1].max_ms, 0, 1, 1, 1, 1, "flipped")
    missing = msgspec.structs.replace(snapshot, blocks=raw[:1], missing=(row,))
    path.write_bytes(bytes(raw[1].bytes))
    read_footer.cache_clear()
    monkeypatch.setattr(block_series, "_HELD", block_series.Held(block_series.HELD_BYTES_MAX))
    for one in (snapshot, missing):
        damages: list[Damaged] = []
        asked = (START_MS + 2 * HOUR_MS, START_MS + 4 * HOUR_MS)
        assert present_series(one, wanted, asked, ROWS_MAX, no_check, damages.append).tolist() == [0, 1, 2]
        assert damages
        away = (START_MS, START_MS + HOUR_MS)
        assert present_series(one, wanted, away, ROWS_MAX, no_check, raise_it).tolist() == [0]
