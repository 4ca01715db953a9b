"""Maintenance of stored blocks by a running daemon: retention, pins, scrubbing, and quarantine of damaged blocks."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from journeys.rig import Daemon, Ledger, connect, post, running

SHORT = {
    "NISSA_STORAGE__SEAL_INTERVAL": "100ms",
    "NISSA_STORAGE__SCRUB_INTERVAL": "1000ms",
    "NISSA_LADDER__TIERS": "[]",
}
OVER = {**SHORT, "NISSA_LADDER__RAW_RETENTION": "1000ms"}


def filled(daemon: Daemon, ledger: Ledger) -> None:
    """Three blocks."""
    link = connect(daemon.ingest_url)
    for _ in range(3):
        claim = ledger.claim()
        assert post(link, ledger.body(claim)) == 204
        ledger.oblige(claim)
        daemon.wait_sealed()


def comes(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """True if ``condition`` holds in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def raw_files(directory: Path) -> list[Path]:
    """Blocks of samples on disk."""
    return sorted((directory / "blocks").glob("raw-*.parquet"))


def test_what_is_over_goes_and_what_is_pinned_stays(tmp_path: Path) -> None:
    """Over a restart with a short retention: pinned blocks are there whole; with the pin removed they go."""
    ledger = Ledger(5)
    directory = tmp_path / "data"
    with running(directory, environment=SHORT) as daemon:
        filled(daemon, ledger)
        status, answer = daemon.request("POST", "/api/v1/pins?" + urlencode({"start": "0", "end": "9999999999"}))
        assert status == 200, answer
        number = json.loads(answer)["data"]["id"]
        ledger.check(daemon.export())
        assert daemon.stop() == 0
    time.sleep(2.5)
    with running(directory, environment=OVER) as daemon:
        assert comes(lambda: daemon.get("/api/status")["maintenance"]["scrub"]["files"] > 0)  # behind the first look
        ledger.check(daemon.export())
        assert daemon.request("DELETE", f"/api/v1/pins?id={number}")[0] == 200
        assert daemon.stop() == 0
    with running(directory, environment=OVER) as daemon:
        assert comes(lambda: raw_files(directory) == [])
        dropped = daemon.get("/api/status")["maintenance"]["dropped"]
        assert dropped["rows"] > 0
        assert daemon.request("GET", "/api/v1/export?match[]={job=%22ledger%22}") == (200, b"")
        assert daemon.unaccounted() == dict.fromkeys(daemon.unaccounted(), 0)
        assert daemon.stop() == 0


def test_rot_is_found_without_a_reader(tmp_path: Path) -> None:
    """A flipped bit in a block that is not queried is found and reported; only that block is lost, no file deleted."""
    directory = tmp_path / "data"
    with running(directory, environment=SHORT) as daemon:
        filled(daemon, Ledger(6))
        hit, *others = raw_files(directory)
        data = bytearray(hit.read_bytes())
        data[len(data) // 3] ^= 4
        hit.write_bytes(data)
        damaged = hit.with_name(hit.name + ".damaged")
        assert comes(damaged.exists)  # the last step of putting it aside
        assert daemon.get("/api/status")["maintenance"]["quarantine"]["blocks"] == 1
        assert raw_files(directory) == others
        assert damaged.read_bytes() == data
        link = connect(daemon.api_url)
        link.request("GET", "/api/v1/export?match[]={job=%22ledger%22}")
        reply = link.getresponse()
        assert reply.status == 200
        assert hit.name in (reply.headers["X-Nissa-Missing"] or "")
        assert reply.read()
        assert daemon.stop() == 0
