"""A damaged block of windows is named, put aside, and reported in every answer over its range; the rest is served."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from nissa.cli.main import app
from nissa.config.tree import Ladder as Settings
from nissa.model.errors import Damaged
from nissa.model.units import DAY_MS, HOUR_MS, SECOND_MS
from nissa.rollup.read import WindowRequest, read_windows
from nissa.store.quarantine import Quarantined
from nissa.store.read import Snapshot
from nissa.store.verify import verify_directory
from oracle.engine import NOW_MS, Rig, config_of, wait_until

START_MS = NOW_MS // DAY_MS * DAY_MS
RUNNER = CliRunner()


def is_written(rig: Rig) -> bool:
    """True if the ladder has processed all sealed samples."""
    status = rig.engine.status().facts()
    return bool(status["ladder"]["lsn"] >= status["journal"]["checkpoint_lsn"])


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Three written hours of one series under the default tiers."""
    config = config_of(acceptance={"past_ms": 365 * DAY_MS, "future_ms": DAY_MS})
    rig = Rig(tmp_path / "data", msgspec.structs.replace(config, ladder=Settings(grace_ms=10 * SECOND_MS)))
    rig.now_ms = START_MS
    for _ in range(4):
        times = range(rig.now_ms, rig.now_ms + HOUR_MS, 20_000)
        rig.now_ms += HOUR_MS + 11 * SECOND_MS
        rig.keep([("a", ts_ms, int(np.float64(ts_ms % 977).view(np.uint64))) for ts_ms in times])
        rig.engine.flush()
        wait_until(lambda: is_written(rig))
        rig.now_ms -= 11 * SECOND_MS
    return rig


def read(snapshot: Snapshot, place: int, start_ms: int, end_ms: int) -> tuple[list[int], list[Damaged]]:
    """Starts of windows, and the damage reported."""
    told: list[Damaged] = []
    batches = list(read_windows(snapshot, place, WindowRequest(None, start_ms, end_ms, on_damage=told.append)))
    return [start_ms for batch in batches for start_ms in batch.start_ms.tolist()], told


def test_a_damaged_block_of_windows_is_put_aside(rig: Rig) -> None:
    """Verify names it, the engine quarantines it, answers over its hour say so, the other hours are whole."""
    try:
        blocks = [one for one in rig.engine.snapshot().blocks if one.kind == "5m"]
        block = next(one for one in blocks if one.min_ms == START_MS + HOUR_MS)
        data = bytearray((rig.path / block.path).read_bytes())
        data[len(data) // 3] ^= 1
        (rig.path / block.path).write_bytes(data)
        assert [file.path for file in verify_directory(rig.path).files if file.damage] == [block.path]
        rig.engine.admin.suspect(block.path)
        wait_until((rig.path / (block.path + ".damaged")).exists)  # the last step of putting it aside
        for _ in range(2):
            snapshot = rig.engine.snapshot()
            starts, told = read(snapshot, 1, START_MS, START_MS + 3 * HOUR_MS)
            assert len(starts) == 24
            assert [type(one) for one in told] == [Quarantined]
            assert block.path in told[0].path
            assert len(read(snapshot, 1, START_MS, START_MS + HOUR_MS)[0]) == 12
            assert read(snapshot, 1, START_MS, START_MS + HOUR_MS)[1] == []
            assert len(read(snapshot, 0, START_MS, START_MS + 3 * HOUR_MS)[0]) == 180
            rig.restart()
    finally:
        rig.engine.close()
    result = RUNNER.invoke(app, ["verify", str(rig.path)])
    assert (result.exit_code, f"{block.path}.damaged: 12 rows in quarantine" in result.stdout) == (1, True)
    shown = RUNNER.invoke(app, ["inspect", str(rig.path), "--json"])
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [row["file"] for row in rows if row["kind"] == "quarantine"] == [block.path + ".damaged"]
    tiers = {row["tier"]: row for row in rows if row["kind"] == "tiers"}
    assert list(tiers) == ["1m", "5m", "1h", "1d"]
    assert (tiers["5m"]["kept"], tiers["1d"]["written_until"]) == ("7d", "")
    arguments = ["export", str(rig.path), "--resolution", "5m", "--match", "a"]
    exported = RUNNER.invoke(app, arguments)
    assert exported.exit_code == 1
    assert f"{Path(block.path).name}.damaged" in exported.stderr
    assert sum(json.loads(line)["timestamps"].__len__() for line in exported.stdout.splitlines()) == 36


def test_a_block_of_windows_that_is_gone_or_swapped_is_found(rig: Rig) -> None:
    """Rows, order and range are compared with the catalogue, not only bytes."""
    rig.engine.close()
    first, second, *_ = sorted((rig.path / "blocks").glob("1m-*"))
    swapped = second.read_bytes()
    second.write_bytes(first.read_bytes())
    assert [file.path for file in verify_directory(rig.path).files if file.damage] == [f"blocks/{second.name}"]
    second.write_bytes(swapped)
    first.unlink()
    (found,) = [file for file in verify_directory(rig.path).files if file.damage]
    assert (found.path, found.damage) == (f"blocks/{first.name}", "the file is missing")
