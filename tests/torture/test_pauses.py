"""A-06: SIGSTOP and SIGCONT under load, as a suspended machine or a starved one. T-03: timers fire once behind it.

A stopped daemon keeps its lock: a second one on the directory is refused meanwhile, so that nobody writes twice.
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from journeys.rig import BUSY, Ledger, Senders, running
from torture.amount import amount, told

pytestmark = pytest.mark.slow

TICK_MS = 100
ANY_PORTS = ("--ingest", "127.0.0.1:0", "--api", "127.0.0.1:0")
COMMITS = "nissa_journal_commits_total"


@pytest.mark.timeout(0)
def test_pauses_under_load_cost_nothing(tmp_path: Path) -> None:
    """Whatever it was at when it was stopped, everything acknowledged is there once, and the accounts agree."""
    draw, ledger, directory = random.Random(random.randrange(1 << 30)), Ledger(4), tmp_path / "data"
    pauses, longest_s = amount("NISSA_TORTURE_PAUSES", quick=4, full=200), 0.0
    with running(directory, environment=BUSY) as daemon:
        senders = Senders(daemon, ledger)
        for number in range(pauses):
            time.sleep(draw.uniform(0.05, 0.3))
            pause_s = draw.uniform(0.05, 0.5 if number % 20 else 3.0)
            daemon.process.send_signal(signal.SIGSTOP)
            if number % 50 == 0:
                second = subprocess.run(
                    [sys.executable, "-m", "nissa.cli.ingest", "--data-dir", str(directory), *ANY_PORTS],
                    capture_output=True,
                    check=False,
                    timeout=60,
                )
                assert second.returncode != 0
                assert str(daemon.process.pid).encode() in second.stderr
            time.sleep(pause_s)
            longest_s = max(longest_s, pause_s)
            daemon.process.send_signal(signal.SIGCONT)
        senders.stop()
        assert {status // 100 for status in senders.statuses} == {2}
        ledger.check(daemon.export())
        assert daemon.unaccounted() == dict.fromkeys(daemon.unaccounted(), 0)
        assert daemon.stop() == 0
    told("A-06", f"{pauses} pauses up to {longest_s:.1f} s, {len(ledger.acknowledged)} requests acknowledged, lost 0")


def test_timers_fire_once_behind_a_pause(tmp_path: Path) -> None:
    """A daemon that slept through many ticks of its own telemetry makes up for none of them."""
    began_s, asleep_s = time.monotonic(), 0.0
    with running(tmp_path / "data", environment={"NISSA_TELEMETRY__INTERVAL": f"{TICK_MS}ms"}) as daemon:
        for _ in range(3):
            time.sleep(0.5)
            daemon.process.send_signal(signal.SIGSTOP)
            stopped_s = time.monotonic()
            time.sleep(1.5)
            asleep_s += time.monotonic() - stopped_s
            daemon.process.send_signal(signal.SIGCONT)
        (samples,) = daemon.export(COMMITS).values()
        awake_s = time.monotonic() - began_s - asleep_s
    assert 1 < len(samples) <= awake_s * 1000 / TICK_MS + 5  # one for each start and wake
