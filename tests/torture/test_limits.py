"""C-03, C-05: limits of the system that the daemon runs into: the size of a file, and the number of open ones.

The limits are set from outside, on the running process, and lifted again.
"""

import http.client
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from journeys.rig import BUSY, Daemon, Ledger, connect, post, running
from journeys.test_maintenance import comes
from torture import workload
from torture.amount import amount, told

from nissa.model.units import KIB

pytestmark = pytest.mark.slow

BLOCK_BYTES = 512  # what sh counts files in
FILES_MAX = 64
CLIENTS = 200
TRIES = 40


@pytest.mark.timeout(0)
def test_files_that_may_not_grow_cost_nothing(tmp_path: Path) -> None:
    """Whichever file meets the limit, journal, block or catalogue, acknowledged samples are found afterwards."""
    sizes = [KIB << place for place in range(1, 8)]
    sizes = sizes[:: amount("NISSA_TORTURE_SIZES_STEP", quick=3, full=1)]
    ends = []
    for size in sizes:
        directory, notes = tmp_path / str(size), tmp_path / f"{size}.notes"
        limited = f'ulimit -f {size // BLOCK_BYTES}; exec "$@"'
        command = ["sh", "-c", limited, "sh", sys.executable, workload.__file__, str(directory), str(notes)]
        with (tmp_path / f"{size}.log").open("wb") as log:
            ends.append(subprocess.run(command, stderr=log, timeout=120, check=False).returncode)
        workload.check(directory, notes)
    told("C-03", f"files of {sizes} bytes at most: ends {ends}, lost 0, altered 0, invented 0, hangs 0")


def test_a_daemon_whose_files_may_not_grow_refuses_and_comes_back(tmp_path: Path) -> None:
    """503 while no byte can be written, 2xx again once it can, by itself; all acknowledged is there."""
    ledger = Ledger(6)
    with running(tmp_path / "data", environment=BUSY) as daemon:
        assert send_some(daemon, ledger) == {200}
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        assert send_some(daemon, ledger) == {503}
        assert daemon.get("/api/status")["mode"] == "read_only"
        ledger.check(daemon.export())
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert comes(lambda: send_some(daemon, ledger, 1) == {200})
        assert send_some(daemon, ledger) == {200}
        daemon.kill()
    with running(tmp_path / "data", environment=BUSY) as daemon:
        ledger.check(daemon.export())
        assert daemon.unaccounted() == dict.fromkeys(daemon.unaccounted(), 0)


def test_a_daemon_without_descriptors_keeps_what_it_took(tmp_path: Path) -> None:
    """More clients than it may have files open: those inside are served or refused; later all is as before."""
    ledger = Ledger(7)
    with running(tmp_path / "data", environment=BUSY) as daemon:
        inside = connect(daemon.ingest_url)
        statuses = [post_one(inside, ledger)]
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))  # its API loads still
        crowd = [connect(daemon.ingest_url) for _ in range(CLIENTS)]
        for link in crowd:
            link.connect()
        statuses += [post_one(inside, ledger) for _ in range(TRIES)]
        assert set(statuses) <= {200, 503}
        for link in crowd:
            link.close()
        assert comes(lambda: send_some(daemon, ledger, 1) == {200})
        daemon.wait_sealed()
        ledger.check(daemon.export())
        assert daemon.unaccounted() == dict.fromkeys(daemon.unaccounted(), 0)
        assert daemon.stop() == 0
    told("C-05", f"{CLIENTS} clients, {FILES_MAX} descriptors: answers {sorted(set(statuses))}, lost 0")


def test_senders_leave_descriptors_for_files(tmp_path: Path) -> None:
    """Under a limit set at the start, a crowd of senders keeps neither blocks nor the API from working."""
    ledger = Ledger(8)

    def start(command: list[str], **options: Any) -> Any:
        return subprocess.Popen(["sh", "-c", f'ulimit -n {2 * FILES_MAX}; exec "$@"', "sh", *command], **options)

    with running(tmp_path / "data", environment=BUSY, start=start) as daemon:
        inside = connect(daemon.ingest_url)
        statuses = {post_one(inside, ledger)}
        crowd = [connect(daemon.ingest_url) for _ in range(CLIENTS)]
        for link in crowd:
            link.connect()
        statuses |= {post_one(inside, ledger) for _ in range(TRIES)}
        assert statuses == {200}
        daemon.wait_sealed()
        assert daemon.get("/api/status")["seal"]["failures"] == 0
        ledger.check(daemon.export())
        for link in crowd:
            link.close()
        assert daemon.stop() == 0


def post_one(link: http.client.HTTPConnection, ledger: Ledger) -> int:
    """One claim on that connection; its status, 2xx written as 200."""
    claim = ledger.claim()
    status = post(link, ledger.body(claim))
    if status // 100 == 2:
        ledger.oblige(claim)
    return 200 if status // 100 == 2 else status


def send_some(daemon: Daemon, ledger: Ledger, count: int = 5) -> set[int]:
    """Statuses of some claims, each on a connection of its own; no answer is written as 0."""
    found = set()
    for _ in range(count):
        link = connect(daemon.ingest_url)
        try:
            found.add(post_one(link, ledger))
        except (OSError, http.client.HTTPException):
            found.add(0)
        link.close()
    return found
