"""A worker that is really stuck: seen from outside, ended by SIGTERM, and nothing acknowledged is lost."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from journeys.rig import Ledger, Senders, running

STUCK = """
from nissa.ingest import merges
from nissa.cli.ingest import main
def loop(*_, **__):
    while True: pass
merges.merge_blocks = loop
main()
"""
SETTINGS = {
    "NISSA_STORAGE__SEAL_INTERVAL": "200ms",
    "NISSA_STORAGE__COMPACTION_FAN_IN": "2",
    "NISSA_WATCHDOG__INTERVAL": "300ms",
    "NISSA_WATCHDOG__INTERVALS_MAX": "4",
    "NISSA_WATCHDOG__SHUTDOWN_TIMEOUT": "3s",
    "NISSA_INGEST__DRAIN_TIMEOUT": "3s",
}


def stuck(command: list[str], **options: Any) -> Any:
    """The daemon with a merge that never ends."""
    return subprocess.Popen([sys.executable, "-c", STUCK, *command[3:]], **options)


def test_a_stuck_worker_is_seen_and_does_not_outlive_sigterm(tmp_path: Path) -> None:
    """Status, readiness, metrics and log report it; frames are taken meanwhile; the next daemon has them all."""
    ledger = Ledger(7)
    with running(tmp_path / "data", environment=SETTINGS, start=stuck) as daemon:
        senders = Senders(daemon, ledger)
        senders.wait()
        for _ in range(600):
            status = daemon.get("/api/status")
            if status["watchdog"]["stalled"] == ["maintenance"]:  # on a busy machine others may be for a moment
                break
            time.sleep(0.1)
        assert (status["mode"], status["watchdog"]["stalled"]) == ("stalled", ["maintenance"])
        assert daemon.request("GET", "/-/ready")[0] == 503
        assert daemon.request("GET", "/-/healthy")[0] == 200
        senders.wait()
        senders.stop()
        assert daemon.stop() == 1
    log = (tmp_path / "data.log").read_text()
    assert "a worker makes no progress" in log
    assert "shutdown timed out" in log
    with running(tmp_path / "data") as daemon:
        assert daemon.request("GET", "/-/ready")[0] == 200
        ledger.check(daemon.export())
    assert ledger.acknowledged
