"""The rig of the journeys: a real daemon in its own process, senders, and a ledger outside of both that decides.

A sender claims an id in the ledger, posts the samples that follow from that id alone, and writes the obligation down
once a 2xx came back. Whatever happens to the daemon between, the export must then hold every obligation, bit for bit
and once, and nothing that nobody claimed.
"""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import cramjam

from nissa._proto import remote_write_v1_pb2 as pb

READY = re.compile(r"ready ingest=(\S+) api=(\S+) data=(\S+)")
START_TIMEOUT_S = 60
# AddressSanitizer keeps freed memory in quarantine, so that the memory of a process says nothing there.
SANITIZED = "NISSA_SANITIZED" in os.environ
SERIES_PER_REQUEST = 20
LARGE_BYTES = 256 * 1024
# Outages of journeys are short, and a busy machine is no reason to refuse an export to them.
SETTINGS = {
    "NISSA_API__RATE_LIMITS__LOOPBACK__CONTROL_PER_MINUTE": "0",
    "NISSA_TELEMETRY__INTERVAL": "0",
    "NISSA_SAFEGUARDS__BREAKERS__TIMEOUT": "1s",
    "NISSA_SAFEGUARDS__CONSERVATIVE_MODE__HALF_OPEN_BREAKERS": "false",
    "NISSA_SAFEGUARDS__CONSERVATIVE_MODE__CPU_PERCENT": "100",
}
GIVING_BACK = (
    f"import runpy; from nissa.service import memory; memory.LARGE_BYTES = {LARGE_BYTES}; "
    "runpy.run_module('nissa.cli.ingest', run_name='__main__', alter_sys=True)"
)


class Daemon:
    """One ``nissa-ingest`` process."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        start: Callable[..., Any] = subprocess.Popen,
    ) -> None:
        """start: makes a process of the command, as ``subprocess.Popen`` does."""
        self.directory = directory
        command = [sys.executable, "-m", "nissa.cli.ingest", "--data-dir", str(directory)]
        command += ["--ingest", "127.0.0.1:0", "--api", "127.0.0.1:0", *arguments]
        self.log = (directory.parent / f"{directory.name}.log").open("ab")  # closed with the process
        self.process = start(
            command,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, **SETTINGS, **(environment or {})},
        )
        self.ingest_url, self.api_url = self._wait_ready()

    def _wait_ready(self) -> tuple[str, str]:
        if self.process.stdout is None:
            raise RuntimeError("the daemon has no standard output")
        watchdog = threading.Timer(START_TIMEOUT_S, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                found = READY.search(line.decode())
                if found:
                    return found.group(1), found.group(2)
        finally:
            watchdog.cancel()
        raise RuntimeError(f"the daemon ended with {self.process.wait()} before it was ready; see {self.log.name}")

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    def stop(self, timeout_s: float = 60) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout_s)
        self.log.close()
        return code

    def get(self, path: str) -> Any:
        """The JSON body of GET ``path`` on the control API."""
        status, body = self.request("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:300]!r}")
        return json.loads(body)

    def request(self, method: str, path: str) -> tuple[int, bytes]:
        """Status and body from the control API."""
        link = connect(self.api_url)
        with contextlib.closing(link):
            link.request(method, path)
            reply = link.getresponse()
            return reply.status, reply.read()

    @property
    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def wait_sealed(self) -> None:
        """Wait until nothing is left in the head. For tests with a short ``storage.seal_interval``."""
        for _ in range(START_TIMEOUT_S * 10):
            head = self.get("/api/status")["head"]
            if head["samples"] == head["sealing"] == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"the head is not sealed: {head}")

    def started_source(self, name: str) -> dict[str, Any]:
        """The status of a source that is up or failing: sources start behind the ready line."""
        for _ in range(START_TIMEOUT_S * 20):
            facts: dict[str, Any] = self.get("/api/status")["sources"][name]
            if facts["state"] != "starting":
                return facts
            time.sleep(0.05)
        raise RuntimeError(f"the source {name} does not start: {facts}")

    def unaccounted(self) -> dict[str, int]:
        """Unaccounted records by source."""
        sources = self.get("/api/v1/accounting")["data"]["sources"]
        return {source: counters["unaccounted"] for source, counters in sources.items()}

    def export(self, match: str = '{job="ledger"}') -> "Export":
        """Everything that ``match`` selects."""
        status, body = self.request("GET", "/api/v1/export?" + urlencode({"match[]": match, "stale": "split"}))
        if status != 200:
            raise RuntimeError(f"export: {status} {body[:300]!r}")
        return parse_export(body)


@contextlib.contextmanager
def running(
    directory: Path,
    *arguments: str,
    environment: dict[str, str] | None = None,
    start: Callable[..., Any] = subprocess.Popen,
) -> Iterator[Daemon]:
    """A daemon that is killed at the end in any case."""
    daemon = Daemon(directory, *arguments, environment=environment, start=start)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.kill()


def giving_back(command: list[str], **options: Any) -> Any:
    """``subprocess.Popen`` of a daemon that gives large memory back instead of keeping it (``service/memory.py``).

    What is resident is then what is in use. What is kept as well has more holes the more its threads were held up.
    """
    return subprocess.Popen([command[0], "-c", GIVING_BACK, *command[3:]], **options)


def nissa_command(*arguments: str | Path) -> bytes:
    """Standard output of ``nissa ARGUMENTS``. Raises CalledProcessError unless it exits with 0."""
    command = [sys.executable, "-m", "nissa.cli.main", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout


def connect(url: str) -> http.client.HTTPConnection:
    """A connection to the host of ``url``."""
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)


Export = dict[tuple[tuple[str, str], ...], dict[int, int]]


def parse_export(body: bytes) -> Export:
    """Labels → time → bits of the value. Raises where a (series, time) stands twice."""
    found: Export = {}
    for line in body.splitlines():
        entry = json.loads(line)
        series = found.setdefault(tuple(sorted(entry["metric"].items())), {})
        for ts_ms, value in zip(entry["timestamps"], entry["values"], strict=True):
            if ts_ms in series:
                raise AssertionError(f"{entry['metric']} at {ts_ms} is exported twice")
            series[ts_ms] = bits_of_export(value)
    return found


def bits_of_export(value: float | str | None) -> int:
    """The bits that an exported value stands for."""
    words = {None: 0x7FF8000000000001, "StaleNaN": 0x7FF0000000000002}
    if value is None or value == "StaleNaN":
        return words[value]  # type: ignore[index]
    if isinstance(value, str) and value.startswith("NaN:"):
        return int(value[4:], 16)
    number = float(value.replace("Infinity", "inf") if isinstance(value, str) else value)
    return int(struct.unpack("<Q", struct.pack("<d", number))[0])


class Ledger:
    """Claims made and claims acknowledged. It lives in the test's process, which is never killed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.base_ms = int(time.time() * 1000) - 600_000
        self._lock = threading.Lock()
        self._next = 0
        self.claimed: set[int] = set()
        self.acknowledged: set[int] = set()

    def claim(self) -> int:
        """A new id."""
        with self._lock:
            self._next += 1
            self.claimed.add(self._next)
            return self._next

    def claim_from(self, claim: int) -> None:
        """Ids from ``claim`` on."""
        self._next = claim - 1

    def oblige(self, claim: int) -> None:
        """The daemon acknowledged ``claim``."""
        with self._lock:
            self.acknowledged.add(claim)

    def samples(self, claim: int) -> Iterator[tuple[tuple[tuple[str, str], ...], int, float]]:
        """The samples that follow from ``claim``: (labels, time, value)."""
        draw = random.Random(self.seed * 1_000_003 + claim)
        for index in range(SERIES_PER_REQUEST):
            labels = (
                ("__name__", "ledger_value"),
                ("claim", str(claim % 97)),
                ("index", str(index)),
                ("job", "ledger"),
            )
            yield labels, self.time_ms(claim), draw.uniform(-1e9, 1e9)

    def time_ms(self, claim: int) -> int:
        """The time of its samples."""
        return self.base_ms + claim

    def body(self, claim: int) -> bytes:
        """The remote write body of ``claim``."""
        request = pb.WriteRequest()
        for labels, ts_ms, value in self.samples(claim):
            series = request.timeseries.add()
            for name, text in labels:
                series.labels.add(name=name, value=text)
            series.samples.add(timestamp=ts_ms, value=value)
        return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))

    def check(self, found: Export) -> None:
        """Every obligation is there bit for bit, and nothing that was not claimed."""
        expected = {
            (labels, ts_ms): struct.unpack("<Q", struct.pack("<d", value))[0]
            for claim in self.claimed
            for labels, ts_ms, value in self.samples(claim)
        }
        owed = {(labels, ts_ms) for claim in self.acknowledged for labels, ts_ms, _ in self.samples(claim)}
        got = {(labels, ts_ms): bits for labels, series in found.items() for ts_ms, bits in series.items()}
        lost = owed - got.keys()
        invented = got.keys() - expected.keys()
        altered = [key for key, bits in got.items() if key in expected and expected[key] != bits]
        if lost or invented or altered:
            raise AssertionError(
                f"seed {self.seed}: lost {len(lost)} {sorted(lost)[:3]}, "
                f"invented {len(invented)} {sorted(invented)[:3]}, "
                f"altered {len(altered)} {altered[:3]} of {len(owed)} acknowledged"
            )


HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "ledger",
}


def post(link: http.client.HTTPConnection, body: bytes) -> int:
    """POST a remote write body; the status."""
    link.request("POST", "/api/v1/write", body, HEADERS)
    reply = link.getresponse()
    reply.read()
    return reply.status


def send(link: http.client.HTTPConnection, message: str, body: bytes, encoding: str = "") -> tuple[int, bytes]:
    """POST a telemetry body of type ``message`` (with ``; encoding=delimited`` for many); status and answer."""
    headers = {"Content-Type": f"application/x-protobuf; proto={message}"}
    if encoding:
        headers["Content-Encoding"] = encoding
    link.request("POST", "/api/v1/telemetry", body, headers)
    reply = link.getresponse()
    return reply.status, reply.read()


class Senders:
    """Threads that send claims until they are stopped, or until the daemon is gone."""

    def __init__(self, daemon: Daemon, ledger: Ledger, count: int = 3) -> None:
        self._stop = threading.Event()
        self._daemon = daemon
        self._ledger = ledger
        self.statuses: dict[int, int] = {}
        self._threads = [threading.Thread(target=self._send) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        link = connect(self._daemon.ingest_url)
        while not self._stop.is_set():
            claim = self._ledger.claim()
            try:
                status = post(link, self._ledger.body(claim))
            except (OSError, http.client.HTTPException):
                break
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if 200 <= status < 300:
                self._ledger.oblige(claim)
        link.close()

    def wait(self, count: int = 20) -> None:
        """Wait until ``count`` more claims are acknowledged."""
        enough = len(self._ledger.acknowledged) + count
        for _ in range(START_TIMEOUT_S * 100):
            if len(self._ledger.acknowledged) >= enough:
                return
            time.sleep(0.01)
        raise RuntimeError(f"{len(self._ledger.acknowledged)} claims were acknowledged, of {enough}")

    def stop(self) -> None:
        """Tell the threads to end, and wait for them."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


# Small segments and early seals and merges, so that kills meet every kind of file being written.
BUSY = {
    "NISSA_STORAGE__SEAL_INTERVAL": "400ms",
    "NISSA_STORAGE__SEGMENT_SIZE": str(1 << 20),
    "NISSA_INGEST__BODY_SIZE_MAX": str(1 << 19),
    "NISSA_STORAGE__COMPACTION_FAN_IN": "3",
}


def kill_loop(
    directory: Path,
    ledger: Ledger,
    draw: random.Random,
    loops: int,
    longest_s: float = 1.2,
    start: Callable[..., Any] = subprocess.Popen,
) -> list[float]:
    """Start, send, SIGKILL after a random while, again and again; then the ledger decides.

    Returns: the seconds that each start took, until ready.
    """
    starts_s = []
    for _ in range(loops):
        began_s = time.monotonic()
        with running(directory, environment=BUSY, start=start) as daemon:
            starts_s.append(time.monotonic() - began_s)
            senders = Senders(daemon, ledger)
            time.sleep(draw.uniform(min(0.1, longest_s / 6), longest_s))
            daemon.kill()
            senders.stop()
    with running(directory, environment=BUSY, start=start) as daemon:
        ledger.check(daemon.export())
        unaccounted = daemon.unaccounted()
        if any(unaccounted.values()):
            raise AssertionError(f"seed {ledger.seed}: unaccounted {unaccounted}")
        if daemon.stop() != 0:
            raise AssertionError(f"seed {ledger.seed}: the daemon did not stop with 0")
    return starts_s
