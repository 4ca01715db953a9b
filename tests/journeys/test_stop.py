"""SIGTERM, a second process on the directory, restarts: ends and beginnings that are not crashes."""

import subprocess
import sys
from pathlib import Path

import pytest
from journeys.rig import Ledger, Senders, running

import nissa
from nissa.model.errors import DirectoryLocked


def test_sigterm_under_load_loses_nothing_and_exits_zero(tmp_path: Path) -> None:
    """A daemon told to stop answers what is in flight, keeps what it acknowledged, and exits 0."""
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
