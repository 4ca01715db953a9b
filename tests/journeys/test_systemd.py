"""The unit of systemd: sound and sandboxed; and the daemon's notifications to a manager over its life."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest
from journeys.rig import Ledger, connect, post, running

from oracle.ports import free_port

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = UNITS / "nissa-ingest.service"
EXPOSURE_MAX = 20  # in tenths


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: install Debian's systemd"
)
def test_the_unit_is_sound_and_sandboxed(tmp_path: Path) -> None:
    """systemd-analyze finds nothing wrong with it, and an exposure of at most 2.0."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/nissa/bin/nissa-ingest", "/bin/true"))
    sockets = [shutil.copy(path, tmp_path) for path in sorted(UNITS.glob("*.socket"))]
    assert len(sockets) == 2
    command = ["systemd-analyze", "verify", str(unit), *map(str, sockets)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_manager_hears_of_the_daemon(tmp_path: Path) -> None:
    """Ready once it serves, signs of life, and the stop."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with running(tmp_path / "data", environment=environment) as daemon:
            assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            assert daemon.stop() == 0
        heard = set()
        while b"STOPPING=1" not in heard:
            heard.add(manager.recv(100))
        assert heard <= {b"WATCHDOG=1", b"STOPPING=1"}


@pytest.mark.long
@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is missing: install systemd"
)
def test_sockets_of_a_manager_outlive_the_daemon(tmp_path: Path) -> None:
    """Both ports are those that are passed. What is sent while the daemon restarts waits, and is stored."""
    ledger = Ledger(8)
    ingest, api = free_port(), free_port()
    with Activated(tmp_path, ingest, api) as daemon:
        claims = [ledger.claim() for _ in range(2)]
        assert post(connect(f"http://127.0.0.1:{ingest}"), ledger.body(claims[0])) == 204
        with contextlib.closing(connect(f"http://127.0.0.1:{api}")) as link:
            link.request("GET", "/api/status")
            assert b'"mode"' in link.getresponse().read()
        daemon.restart()
        assert post(connect(f"http://127.0.0.1:{ingest}"), ledger.body(claims[1])) == 204
        for claim in claims:
            ledger.oblige(claim)
    with running(tmp_path / "data") as stopped:
        ledger.check(stopped.export())


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is missing: install systemd"
)
def test_a_socket_that_others_reach_needs_access_control(tmp_path: Path) -> None:
    """As ``api.listen`` does, and a socket with another name is refused."""
    for address, name, reason in (
        ("0.0.0.0", "api", "api.access.enabled"),
        ("127.0.0.1", "x", "expected one of ingest"),
    ):
        port = free_port()
        with Activated(tmp_path, port, name=name, address=address) as daemon:
            socket.create_connection(("127.0.0.1", port)).close()
            assert daemon.process.wait(60) == 2
        assert reason in (tmp_path / "log").read_text()


class Activated:
    """The daemon as systemd-socket-activate starts it: on the first connection."""

    def __init__(self, directory: Path, *ports: int, name: str = "ingest:api", address: str = "127.0.0.1") -> None:
        listen = [part for port in ports for part in ("-l", f"{address}:{port}")]
        command = ["systemd-socket-activate", *listen, f"--fdname={name}", sys.executable, "-c", RESTARTING]
        self._restarts = directory / "restarts"
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen([*command, str(directory / "data"), str(self._restarts)], stderr=log)
        while self.process.poll() is None:  # it listens when it says so
            if "Listening" in (directory / "log").read_text():
                break
            time.sleep(0.01)

    def restart(self) -> None:
        """Stop the daemon; its sockets stay, and it is started again after a while. Returns in between."""
        self._restarts.touch()
        self.process.send_signal(signal.SIGHUP)
        while self._restarts.exists():
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)


# A manager that keeps the sockets: it starts the daemon with them, and again after SIGHUP.
RESTARTING = """
import os, signal, subprocess, sys, time
directory, restarts = sys.argv[1:]
stopping = []
signal.signal(signal.SIGTERM, lambda *_: (stopping.append(1), child.terminate()))
signal.signal(signal.SIGHUP, lambda *_: child.terminate())
fds = tuple(range(3, 3 + int(os.environ["LISTEN_FDS"])))
for fd in fds:
    os.set_inheritable(fd, True)
while True:
    command = "LISTEN_PID=$$ exec " + sys.executable + " -m nissa.cli.ingest --data-dir " + directory
    child = subprocess.Popen(["sh", "-c", command], pass_fds=fds)
    code = child.wait()
    if stopping or not os.path.exists(restarts):
        sys.exit(code)
    os.unlink(restarts)
    time.sleep(0.5)
"""
