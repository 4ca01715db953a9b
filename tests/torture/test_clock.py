"""T-01: the wall clock of a running daemon jumps, and of one that starts. Nothing is deleted, nothing falls over.

    right ─► data sealed ─► jump ─► requests ─► SIGKILL ─► start under the wrong clock ─► retention looks ─► right again

The clock is that of the process alone (``journeys/wall_clock.py``).
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from journeys.rig import Daemon, Ledger, connect, post, running
from journeys.test_maintenance import comes
from journeys.wall_clock import WallClock
from torture.amount import amount, told

from nissa.model.units import DAY_MS, HOUR_MS, SECOND_MS

pytestmark = pytest.mark.slow

SETTINGS = {"NISSA_STORAGE__SEAL_INTERVAL": "200ms"}
TRUSTED_MS = 60 * SECOND_MS
YEAR_MS = 365 * DAY_MS


def at(year: int, month: int = 1, day: int = 1) -> int:
    """Distance of a date from now, in ms."""
    return int((datetime(year, month, day, tzinfo=UTC) - datetime.now(UTC)).total_seconds() * 1000)


JUMPS = {
    "10 years on": 10 * YEAR_MS,
    "to 1970": at(1970, 1, 2),
    "a day back": -DAY_MS,
    "a second on": SECOND_MS,
    "a second back": -SECOND_MS,
    "an hour on": HOUR_MS,
    "an hour back": -HOUR_MS,
    "a day on": DAY_MS,
    "10 years back": -10 * YEAR_MS,
    "to 2038-01-19": at(2038, 1, 19),
    "to 2106": at(2106, 2, 8),
    "to 2262": at(2262, 1, 1),  # from April of that year on Python cannot read a clock: its nanoseconds are 64 bits
}


def send(daemon: Daemon, ledger: Ledger) -> int:
    """One claim; the status."""
    link, claim = connect(daemon.ingest_url), ledger.claim()
    status = post(link, ledger.body(claim))
    link.close()
    if status // 100 == 2:
        ledger.oblige(claim)
    return status


def test_jumps_of_the_wall_clock_delete_nothing(tmp_path: Path) -> None:
    """Requests are answered, retention waits, and with the clock right again all is as before."""
    clock, ledger, directory = WallClock(tmp_path), Ledger(3), tmp_path / "data"
    environment = {**SETTINGS, **clock.environment}
    with running(directory, environment=environment) as daemon:
        assert send(daemon, ledger) // 100 == 2
        daemon.wait_sealed()
        assert daemon.stop() == 0
    chosen = list(JUMPS)[: amount("NISSA_TORTURE_JUMPS", quick=3, full=len(JUMPS))]
    for name in chosen:
        with running(directory, environment=environment) as daemon:
            assert send(daemon, ledger) // 100 == 2, name
            clock.jump(JUMPS[name])
            assert send(daemon, ledger) in (200, 204, 400), name  # too old or too new, or not
            assert daemon.get("/api/status")["mode"] == "ready", name
            daemon.kill()
        with running(directory, environment=environment) as daemon:
            clock_jump = abs(JUMPS[name]) > TRUSTED_MS
            assert comes(lambda expected=clock_jump: told_doubt(daemon) is expected), name
            maintenance = daemon.get("/api/status")["maintenance"]
            assert (maintenance["dropped"]["blocks"], maintenance["failures"]) == (0, 0), (name, maintenance)
            ledger.check(daemon.export())
            assert daemon.stop() == 0, name
        clock.jump(0)
    with running(directory, environment=environment) as daemon:
        assert comes(lambda: told_doubt(daemon) is False)
        assert send(daemon, ledger) // 100 == 2
        ledger.check(daemon.export())
        assert daemon.unaccounted() == dict.fromkeys(daemon.unaccounted(), 0)
    told("T-01", f"{len(chosen)} jumps of a running daemon and of a start: {', '.join(chosen)}; deleted 0, lost 0")


def told_doubt(daemon: Daemon) -> bool:
    """True if the clock is in doubt, according to the status."""
    return bool(daemon.get("/api/status")["maintenance"]["clock_in_doubt"])
