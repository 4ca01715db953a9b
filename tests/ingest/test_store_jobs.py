"""The jobs of an engine: each is there, has its turn, and ends with the engine."""

import pytest

from oracle.engine import NOW_MS, ONE, Rig, config_of, wait_until

JOBS = ["retention", "release", "ladder", "series", "slices", "compaction", "tombstones", "series_expiry", "scrub"]


def test_every_job_is_in_the_status_in_order(rig: Rig) -> None:
    """The most important one first; those that follow a seal have run soon after it."""
    assert list(rig.engine.status().facts()["maintenance"]["jobs"]) == JOBS
    rig.keep([("a", NOW_MS, ONE)])
    rig.engine.flush()
    status = rig.engine.status
    followers = ("ladder", "series", "compaction")
    wait_until(lambda: all(status().maintenance["jobs"][name]["runs"] for name in followers))
    assert status().ladder["lsn"] == status().journal.checkpoint_lsn
    assert status().maintenance["failures"] == 0
    assert status().upkeep == status().maintenance


def test_closing_ends_a_scrub_that_rests(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    """However slowly files are read back, closing does not wait for it and logs nothing."""
    rig.keep([("a", NOW_MS, ONE)])
    rig.engine.flush()
    rig.config = config_of(storage={"scrub_bytes_per_second_max": 1})
    rig.restart()
    rig.engine.admin.suspect(rig.engine.snapshot().blocks[0].path)
    wait_until(lambda: rig.engine.status().facts()["maintenance"]["scrub"]["bytes"] > 100)
    capfd.readouterr()
    rig.engine.close()
    assert "job" not in "".join(capfd.readouterr())
    assert rig.engine.status().facts()["maintenance"]["scrub"]["files"] == 0
