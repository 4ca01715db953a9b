"""Backups of a running daemon have what was acknowledged before them; kills at any moment leave no half one."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.java_servers import READY_S, JavaServer
from journeys.rig import BUSY, Ledger, Senders, nissa_command, running

from oracle.ports import free_port

BACKUPS = 2
KILLS = 3
LONGEST_S = 1.2
QUICK = {**BUSY, "NISSA_STORAGE__SEAL_INTERVAL": "150ms"}


def killed(draw: random.Random, *arguments: str | Path) -> bool:
    """Run a command of nissa and kill it after a while, if it has not ended by then."""
    command = [sys.executable, "-m", "nissa.cli.main", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(draw.uniform(0.1, LONGEST_S))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def check(directory: Path, ledger: Ledger, acknowledged: set[int]) -> None:
    """A daemon on the restored directory has every acknowledged sample, and none that was not sent."""
    owed = Ledger(ledger.seed)
    owed.base_ms, owed.claimed, owed.acknowledged = ledger.base_ms, set(ledger.claimed), acknowledged
    with running(directory) as daemon:
        owed.check(daemon.export())
        assert daemon.stop() == 0


@pytest.mark.long
def test_backups_under_ingestion_are_whole(tmp_path: Path) -> None:
    """Each restored backup, a later one made after kills too, has what was acknowledged before it began."""
    ledger, draw, directory, place = Ledger(21), random.Random(21), tmp_path / "data", tmp_path / "backup"
    moments: list[tuple[str, set[int]]] = []
    with running(directory, environment=QUICK) as daemon:
        senders = Senders(daemon, ledger)
        senders.wait()
        for _ in range(BACKUPS):
            acknowledged = set(ledger.acknowledged)
            lines = nissa_command("backup", place, directory).decode().splitlines()
            moments.append((lines[-1].split()[1].rstrip(":"), acknowledged))
            senders.wait()
        kills = sum(killed(draw, "backup", place, directory) for _ in range(KILLS))
        acknowledged = set(ledger.acknowledged)
        lines = nissa_command("backup", place, directory).decode().splitlines()
        moments.append((lines[-1].split()[1].rstrip(":"), acknowledged))
        senders.stop()
        assert daemon.stop() == 0
    assert kills, "no backup was killed"
    for backup, acknowledged in moments:
        target = tmp_path / backup
        for _ in range(KILLS):
            if not killed(draw, "restore", place, target, "--backup", backup):
                break
        if not (target / "catalogue.sqlite").exists() or (target / "restore.unfinished").exists():
            nissa_command("restore", place, target, "--backup", backup)
        assert nissa_command("verify", target).decode().splitlines()[-1].startswith("ok: ")
        check(target, ledger, acknowledged)
        shutil.rmtree(target)


@contextlib.contextmanager
def s3_server(directory: Path) -> Iterator[str]:
    """S3Proxy over a folder; its address."""
    url = f"http://127.0.0.1:{free_port()}"
    store = directory / "store"
    (store / "backups").mkdir(parents=True)
    settings = directory / "s3proxy.conf"
    settings.write_text(
        f"s3proxy.endpoint={url}\ns3proxy.authorization=aws-v2-or-v4\ns3proxy.identity=somebody\n"
        f"s3proxy.credential=secret\ns3proxy.ignore-unknown-headers=true\njclouds.provider=filesystem-nio2\njclouds.identity=x\njclouds.credential=x\njclouds.filesystem.basedir={store}\n"
    )
    server = JavaServer("s3proxy", ["org.gaul.s3proxy.Main", "--properties", str(settings)], directory, prints=False)
    try:
        for _ in range(READY_S * 10):
            assert server.process.poll() is None, (directory / "log").read_text()
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except urllib.error.HTTPError:  # it answers
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        server.kill()


@pytest.mark.long
def test_a_backup_in_an_s3_store(tmp_path: Path) -> None:
    """Made, made again with little to copy, listed and restored over the protocol of S3."""
    ledger, directory = Ledger(22), tmp_path / "data"
    with s3_server(tmp_path / "s3") as url, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }.items():
            patch.setitem(os.environ, name, value)
        with running(directory, environment=QUICK) as daemon:
            senders = Senders(daemon, ledger)
            senders.wait(60)
            senders.stop()
            nissa_command("backup", "s3://backups/nissa", directory)
            again = nissa_command("backup", "s3://backups/nissa", directory, "--keep", "1").decode()
            assert again.startswith("deleted backup ")
            assert daemon.stop() == 0
        assert nissa_command("backup", "--list", "s3://backups/nissa").decode().startswith("backups (1)")
        nissa_command("restore", "s3://backups/nissa", tmp_path / "restored")
    check(tmp_path / "restored", ledger, set(ledger.acknowledged))
