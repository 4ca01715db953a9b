"""The ladder compared with itself: sound ones are sound, and every wrong number is found."""

from pathlib import Path

import msgspec
import numpy as np

from nissa.model.ladder import DEFAULT_TIERS, WindowBatch
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.rollup.read import Question, compute_windows
from nissa.rollup.verify import TierReport, verify_tiers
from nissa.store.catalogue import TierRow
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


def written(path: Path, change: str = "", place: int = 1) -> Directory:
    """A directory whose tiers are all written; one number of one column of one tier is another."""
    directory = Directory(path)
    directory.seal(samples())
    rows = [TierRow(tier) for tier in DEFAULT_TIERS]
    for number, tier in enumerate(DEFAULT_TIERS):
        snapshot = Snapshot(path, tuple(directory.catalogue.blocks()), (), tuple(rows))
        batches = list(compute_windows(snapshot, number, Question(None, START_MS, UNTIL_MS)))
        if change and number == place:
            batches[0] = changed(batches[0], change)
        block = write_windows(path, directory.catalogue.new_id(), tier, batches, directory.lsn, 1)
        assert block is not None
        rows[number] = TierRow(tier, UNTIL_MS, directory.lsn)
        directory.catalogue.commit_tiers(rows, [block])
    return directory


def changed(windows: WindowBatch, name: str) -> WindowBatch:
    """The same with another number in the sixth row."""
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
    """It is told with series, window and column, in its own tier; the tier above was made of it and fits."""
    for change in ("sum", "min", "m2", "resets"):
        path = tmp_path / change
        written(path, change)
        reports = found(path)
        assert {name: report.count for name, report in reports.items()} == {"1m": 0, "5m": 1, "1h": 0, "1d": 0}
        (said,) = reports["5m"].differences
        assert said.startswith(f"5m: series 0, window {START_MS + 5 * 300_000}: {change} ")


def test_a_missing_window(tmp_path: Path) -> None:
    """Samples of before that nobody wrote again, though the ladder says so."""
    directory = written(tmp_path)
    directory.seal([(7, START_MS + HOUR_MS, 0)])
    assert {report.count for report in verify_tiers(tmp_path)} == {0}  # behind the LSN: known to be late
    directory.catalogue.commit_tiers([TierRow(tier, UNTIL_MS, directory.lsn) for tier in DEFAULT_TIERS])
    reports = found(tmp_path)
    assert {name: report.count for name, report in reports.items()} == {"1m": 1, "5m": 1, "1h": 0, "1d": 0}
    assert reports["5m"].differences[0].endswith("is not written")


def test_what_has_expired_says_nothing(tmp_path: Path) -> None:
    """Raw blocks gone: their windows stay, and are not called wrong."""
    directory = written(tmp_path)
    directory.seal([(0, UNTIL_MS + 5, 0)])
    (oldest, _) = directory.blocks()
    directory.catalogue.replace_blocks([oldest], [])
    assert {report.count for report in verify_tiers(tmp_path)} == {0}
