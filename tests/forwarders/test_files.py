"""The files sink beside the engine: copies by itself, reports faults, and starts again."""

from pathlib import Path

import pytest
from forwarders.conftest import SinkRig

from nissa.config.sinks import FilesSink
from nissa.model.errors import BadQuery
from oracle.engine import NOW_MS, ONE


def test_sealed_blocks_are_copied(tmp_path: Path) -> None:
    """Sealed blocks are copied; a failing destination is tried again, and others do not wait for it."""
    obstacle = tmp_path / "obstacle"
    obstacle.write_text("a file where a folder belongs")
    rig = SinkRig(
        tmp_path / "d",
        s=FilesSink(url=str(tmp_path / "mirror"), interval_ms=0),
        t=FilesSink(url=str(obstacle), interval_ms=0),
    )

    async def scenario() -> None:
        rig.keep([("m", NOW_MS, ONE)])
        rig.engine.flush()
        await rig.until(lambda: bool(list((tmp_path / "mirror").glob("blocks/raw-*"))))
        await rig.until(lambda: rig.sinks.status()["s"]["state"] == "up")
        await rig.until(lambda: rig.sinks.status()["t"]["state"] == "failing")
        assert str(obstacle) in rig.sinks.status()["t"]["error"]
        obstacle.unlink()
        await rig.sinks.resume("t")
        await rig.until(lambda: rig.sinks.status()["t"]["state"] == "up")
        assert rig.sinks.status()["s"]["copied_files"] >= 2
        with pytest.raises(BadQuery, match="has no backlog"):
            await rig.sinks.skip("s")
        with pytest.raises(BadQuery, match="has no dead letters"):
            await rig.sinks.dead_letters("s")

    rig.go(scenario)
    rig.engine.close()
