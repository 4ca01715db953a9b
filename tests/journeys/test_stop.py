"""SIGTERM, a second process on the directory, restarts: ends and beginnings that are not crashes."""

import contextlib
import http.client
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from journeys.rig import Ledger, Senders, running

import nissa
from nissa.model.errors import DirectoryLocked

# The daemon with a question for labels that does not end: in steps that look at their allowance, or in one C call.
ENDLESS = """
import ctypes
from nissa.cli.ingest import main
from nissa.query import series_answers
def in_steps(backend, question):
    while True: question.check()
def in_c(backend, question):
    ctypes.CDLL(None).sleep(600)
series_answers.label_names = {}
main()
"""


def test_sigterm_under_load_loses_nothing_and_exits_zero(tmp_path: Path) -> None:
    """On SIGTERM a daemon answers requests in flight, keeps acknowledged samples, and exits 0."""
    ledger = Ledger(1)
    for _ in range(3):
        with running(tmp_path / "data") as daemon:
            senders = Senders(daemon, ledger)
            senders.wait()
            assert daemon.stop() == 0
            senders.stop()
    with running(tmp_path / "data") as daemon:
        ledger.check(daemon.export())
    assert ledger.acknowledged


def test_second_process_on_a_directory_refuses_and_the_first_is_unharmed(tmp_path: Path) -> None:
    """A second daemon exits with an error that names the first, an engine raises; the first goes on."""
    ledger = Ledger(2)
    with running(tmp_path / "data") as daemon:
        command = [sys.executable, "-m", "nissa.cli.ingest", "--data-dir", str(tmp_path / "data")]
        second = subprocess.run(
            [*command, "--ingest", "127.0.0.1:0", "--api", "127.0.0.1:0"], capture_output=True, timeout=60
        )
        assert second.returncode != 0
        assert str(daemon.process.pid) in second.stderr.decode()
        with pytest.raises(DirectoryLocked):
            nissa.Engine(tmp_path / "data")
        senders = Senders(daemon, ledger)
        senders.wait()
        senders.stop()
        ledger.check(daemon.export())
    assert ledger.acknowledged


def test_what_was_sent_is_the_same_before_and_after_a_restart(tmp_path: Path) -> None:
    """The export of a running daemon equals that of the next one on its directory."""
    ledger = Ledger(3)
    with running(tmp_path / "data") as daemon:
        senders = Senders(daemon, ledger)
        senders.wait()
        senders.stop()
        before = daemon.export()
        assert daemon.stop() == 0
    with running(tmp_path / "data") as daemon:
        assert daemon.export() == before
    ledger.check(before)


def test_a_daemon_lives_through_closed_descriptors_and_a_hangup(tmp_path: Path) -> None:
    """Started with standard input and error closed it serves; SIGHUP stops nothing; SIGTERM drains and exits 0."""

    def start_closed(command: list[str], **options: Any) -> Any:
        return subprocess.Popen(["sh", "-c", 'exec "$@" <&- 2>&-', "sh", *command], **options)

    ledger = Ledger(4)
    with running(tmp_path / "data", start=start_closed) as daemon:
        senders = Senders(daemon, ledger)
        senders.wait()
        daemon.process.send_signal(signal.SIGHUP)
        senders.wait()
        senders.stop()
        assert daemon.stop() == 0
    with running(tmp_path / "data") as daemon:
        ledger.check(daemon.export())
    assert ledger.acknowledged


@pytest.mark.parametrize(("kind", "is_left"), [("in_steps", False), ("in_c", True)])
def test_sigterm_does_not_wait_for_a_query(tmp_path: Path, kind: str, is_left: bool) -> None:
    """The daemon exits 0 within its bound while a query runs, left alone where it cannot be ended; nothing is lost."""

    def start_endless(command: list[str], **options: Any) -> Any:
        return subprocess.Popen([sys.executable, "-c", ENDLESS.format(kind), *command[3:]], **options)

    ledger = Ledger(5)
    with running(tmp_path / "data", start=start_endless) as daemon:
        senders = Senders(daemon, ledger)

        def ask() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                daemon.request("GET", "/api/v1/labels")

        asking = threading.Thread(target=ask)
        asking.start()
        while daemon.get("/api/status")["queries"]["running"] < 2:  # the other one is this
            time.sleep(0.05)
        senders.wait()
        assert daemon.stop() == 0
        senders.stop()
        asking.join()
    assert ("exiting while a query is still running" in (tmp_path / "data.log").read_text()) == is_left
    with running(tmp_path / "data") as daemon:
        ledger.check(daemon.export())
    assert ledger.acknowledged
