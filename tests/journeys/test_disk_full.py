"""A full disk: 503 with Retry-After, reads keep working, ingestion comes back by itself."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.rig import HEADERS, Ledger, connect, post, running


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip(
            "LOUD: a small file system cannot be mounted here (root is needed); the disk-full journey did not run"
        )
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_full_disk_refuses_and_resumes(small_disk: Path) -> None:
    """Below the floor writes get 503 and reads go on; with space back writes are taken again, and nothing is lost."""
    ledger = Ledger(4)
    environment = {
        "NISSA_STORAGE__SEGMENT_SIZE": str(1 << 20),
        "NISSA_INGEST__BODY_SIZE_MAX": str(1 << 19),
        "NISSA_STORAGE__FREE_SPACE_MIN": str(4 << 20),
    }
    filler = small_disk / "filler"
    with running(small_disk / "data", environment=environment) as daemon:
        link = connect(daemon.ingest_url)

        def send() -> int:
            claim = ledger.claim()
            status = post(link, ledger.body(claim))
            if status == 204:
                ledger.oblige(claim)
            return status

        assert send() == 204
        space = os.statvfs(small_disk)
        filler.write_bytes(bytes(space.f_bavail * space.f_frsize - (2 << 20)))
        assert wait_for(send, 503)
        link.request("POST", "/api/v1/write", ledger.body(ledger.claim()), HEADERS)
        reply = link.getresponse()
        reply.read()
        assert reply.status == 503
        assert int(reply.headers["Retry-After"]) > 0
        ledger.check(daemon.export())
        assert daemon.get("/api/status")["mode"] == "read_only"
        filler.unlink()
        assert wait_for(send, 204)
        ledger.check(daemon.export())
        assert daemon.stop() == 0


def wait_for(send: object, status: int, seconds: float = 60) -> bool:
    """True if ``send`` answers ``status`` in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if send() == status:  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False
