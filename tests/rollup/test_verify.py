"""The ladder compared with itself: sound ones are sound, and every wrong number is found."""

from pathlib import Path

import msgspec
import numpy as np

from nissa.catalogue.catalogue import TierRow
from nissa.files.checked_file import MISSING
from nissa.model.ladder import DEFAULT_TIERS, WindowBatch
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.rollup.read import WindowRequest, compute_windows
from nissa.rollup.verify import TierReport, verify_tiers
from nissa.store.compaction import merge_blocks
from nissa.store.pins import drop_unpinned
from nissa.store.quarantine import put_aside
from nissa.store.read import Snapshot
from nissa.store.tier_blocks import write_windows
from oracle.columns import Sample
from oracle.directory import Directory

START_MS = 20_000 * DAY_MS
UNTIL_MS = START_MS + DAY_MS


def samples() -> list[Sample]:
    """A day of three series."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=3 * 720)
    return [(at % 3, START_MS + at // 3 * 120_000, int(value.view(np.uint64))) for at, value in enumerate(values)]


def written(path: Path, change: str = "", place: int = 1, parts: int = 1) -> Directory:
    """A directory whose tiers are all written; one number of one column of one tier is another. parts: raw blocks."""
    directory = Directory(path)
    size = len(samples()) // parts
    for first in range(0, len(samples()), size):
        directory.seal(samples()[first : first + size])
    rows = [TierRow(tier) for tier in DEFAULT_TIERS]
    for number, tier in enumerate(DEFAULT_TIERS):
        snapshot = Snapshot(path, tuple(directory.catalogue.blocks()), (), tuple(rows))
        batches = list(compute_windows(snapshot, number, WindowRequest(None, START_MS, UNTIL_MS)))
        if change and number == place:
            batches[0] = changed(batches[0], change)
        block = run_whole(write_windows(path, directory.catalogue.new_id(), tier, batches, directory.lsn, 1))
        assert block is not None
        rows[number] = TierRow(tier, UNTIL_MS, directory.lsn)
        directory.catalogue.commit_tiers(rows, [block])
    return directory


def changed(windows: WindowBatch, name: str) -> WindowBatch:
    """The same with another number in the sixth row; ``before``: rows of an earlier build, ``before name``: both."""
    if name.startswith("before"):
        windows = msgspec.structs.replace(windows, carry=np.full(len(windows), np.nan))
        name = name.removeprefix("before").strip()
    if not name:
        return windows
    column = getattr(windows, name).copy()
    column[5] += 1
    return msgspec.structs.replace(windows, **{name: column})


def found(path: Path) -> dict[str, TierReport]:
    """Reports by tier."""
    return {report.name: report for report in verify_tiers(path)}


def test_a_sound_ladder(tmp_path: Path) -> None:
    """All windows are compared; none differs."""
    written(tmp_path)
    reports = found(tmp_path)
    assert {name: report.count for name, report in reports.items()} == {"1m": 0, "5m": 0, "1h": 0, "1d": 0}
    assert {name: report.windows for name, report in reports.items()} == {"1m": 2160, "5m": 864, "1h": 72, "1d": 3}


def test_one_number(tmp_path: Path) -> None:
    """A wrong number is reported with series, window and column, in its own tier; the tier above agrees with it."""
    for change in ("sum", "carry", "min", "m2", "resets"):
        path = tmp_path / change
        written(path, change)
        reports = found(path)
        assert {name: report.count for name, report in reports.items()} == {"1m": 0, "5m": 1, "1h": 0, "1d": 0}
        (said,) = reports["5m"].differences
        assert said.startswith(f"5m: series 0, window {START_MS + 5 * 300_000}: {change} ")


def test_rows_without_carry(tmp_path: Path) -> None:
    """An earlier build added up otherwise: sum and m2 say nothing, all else does. The tiers above are made of them."""
    for change, count in (("before", 0), ("before sum", 0), ("before m2", 0), ("before min", 1)):
        path = tmp_path / change
        written(path, change)
        assert {name: report.count for name, report in found(path).items()} == {"1m": 0, "5m": count, "1h": 0, "1d": 0}


def test_a_missing_window(tmp_path: Path) -> None:
    """Late samples whose windows were not written again, though the ladder's LSN covers them."""
    directory = written(tmp_path)
    directory.seal([(7, START_MS + HOUR_MS, 0)])
    assert {report.count for report in verify_tiers(tmp_path)} == {0}  # behind the LSN: known to be late
    directory.catalogue.commit_tiers([TierRow(tier, UNTIL_MS, directory.lsn) for tier in DEFAULT_TIERS])
    reports = found(tmp_path)
    assert {name: report.count for name, report in reports.items()} == {"1m": 1, "5m": 1, "1h": 0, "1d": 0}
    assert reports["5m"].differences[0].endswith("is not written")


def test_a_missing_block_is_no_difference(tmp_path: Path) -> None:
    """Windows over a block whose file is missing, or is in quarantine, are not compared; all others are."""
    directory = written(tmp_path)
    later = directory.seal([(0, UNTIL_MS + 5, 0)])
    (lost, _) = directory.blocks()
    (tmp_path / lost.path).unlink()
    assert {report.count for report in verify_tiers(tmp_path)} == {0}
    put_aside(directory.catalogue, lost, MISSING, 7)
    assert {report.count for report in verify_tiers(tmp_path)} == {0}
    assert directory.blocks() == list(later.blocks)


def test_blocks_merged_meanwhile_are_looked_up_again(tmp_path: Path) -> None:
    """A daemon that merges between two tiers deletes the files: the next tier is compared with the new blocks."""
    directory = written(tmp_path)
    directory.seal([(7, UNTIL_MS + 5, 0)])
    reports = verify_tiers(tmp_path)
    assert next(reports).name == "1m"
    run_whole(merge_blocks(tmp_path, directory.catalogue, directory.blocks(), 1))
    assert [(report.name, report.count) for report in reports] == [("5m", 0), ("1h", 0), ("1d", 0)]


def test_what_has_expired_says_nothing(tmp_path: Path) -> None:
    """Raw blocks gone: their windows stay, and are not called wrong."""
    directory = written(tmp_path)
    directory.seal([(0, UNTIL_MS + 5, 0)])
    (oldest, _) = directory.blocks()
    assert drop_unpinned(directory.catalogue, [oldest], [])
    assert {report.count for report in verify_tiers(tmp_path)} == {0}


def test_what_a_pin_has_kept_says_nothing_of_what_expired_behind_it(tmp_path: Path) -> None:
    """Old samples left, later ones gone: windows of the later ones are not called wrong, those of the last ones are."""
    directory = written(tmp_path, "max", 0, parts=3)
    _, later, _ = sorted(directory.blocks(), key=lambda block: block.min_ms)
    assert drop_unpinned(directory.catalogue, [later], [])
    counts = {report.name: report.count for report in verify_tiers(tmp_path)}
    assert counts == {"1m": 1, "5m": 0, "1h": 0, "1d": 0}  # the changed number, in a window whose sample is left
