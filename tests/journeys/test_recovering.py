"""A long recovery in the real daemon: it says how far it is, and a signal ends it."""

import http.client
import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from journeys.rig import running

from nissa._proto import remote_write_v1_pb2 as pb
from nissa.ingest.pipeline import ADMIT_ALL
from nissa.journal.journal import Journal
from nissa.model.durability import parse_durability
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.ports import free_port

START_TIMEOUT_S = 60
FRAMES = 3_000
SLOW = (
    "import runpy, time; from nissa.ingest.progress import Progress; real = Progress.advance; "
    "Progress.advance = lambda *all: (time.sleep(0.01), real(*all)); "
    "runpy.run_module('nissa.cli.ingest', run_name='__main__', alter_sys=True)"
)


def write_journal(directory: Path) -> None:
    """A directory that holds a journal and nothing else: one sample a frame."""
    now_ms = int(time.time() * 1_000)
    journal = Journal(directory, durability=parse_durability("os"), segment_bytes=1 << 20, clock=lambda: now_ms)
    for number in range(FRAMES):
        request = pb.WriteRequest()
        series = request.timeseries.add()
        series.labels.add(name="__name__", value="up")
        series.samples.add(value=1, timestamp=now_ms - number)
        body = request.SerializeToString()
        journal.append(Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, now_ms, body), ADMIT_ALL)
    journal.commit()
    journal.close()


def ask(port: int, path: str) -> tuple[int, bytes]:
    """Status and body; status 0 if the connection is refused."""
    with suppress(OSError, http.client.HTTPException):
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        link.request("GET", path)
        reply = link.getresponse()
        return reply.status, reply.read()
    return 0, b""


def test_a_long_recovery_tells_and_can_be_ended(tmp_path: Path) -> None:
    """Ready is 503 with a percentage meanwhile; SIGTERM ends it with 0; the next start brings every sample."""
    directory = tmp_path / "data"
    write_journal(directory / "journal")
    port = free_port()
    command = [sys.executable, "-c", SLOW, "--data-dir", str(directory), "--ingest", "127.0.0.1:0"]
    process = subprocess.Popen([*command, "--api", f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
    told: dict[str, Any] = {}
    ends = time.monotonic() + START_TIMEOUT_S
    while not told.get("recovery", {}).get("bytes") and time.monotonic() < ends:
        status, body = ask(port, "/api/status")
        told = json.loads(body) if status == 200 else {}
    status, body = ask(port, "/-/ready")
    process.send_signal(signal.SIGTERM)
    assert process.wait(START_TIMEOUT_S) == 0
    assert told["mode"] == "recovering"
    assert 0 < told["recovery"]["bytes"] <= told["recovery"]["bytes_total"]
    assert (status, b" % of " in body) == (503, True)
    with running(directory) as daemon:
        found = daemon.get("/api/status")
        assert found["mode"] == "ready"
        assert found["head"]["samples"] == FRAMES
