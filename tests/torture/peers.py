"""The same kills and power cuts on Prometheus, VictoriaMetrics, Redis and NATS JetStream as Debian has them, and Nissa.

    python tests/torture/peers.py [ROUNDS] [NAME …]         as root; servers from scripts/install-debian-peers

    start ─► 3 senders, each waits for its answer ─► SIGKILL, or the disk's power is cut ─► start ─► compare ─► …

A server runs on its own ext4 (``cut_disk.py``) with free ports. The ledger of what was acknowledged is here, outside.
After every end the server must come back by itself; an acknowledged claim that it then cannot show is lost, once. The
reach of the losses is reported as well: from the oldest acknowledgement lost to the end.
"""

import abc
import base64
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from oracle.ports import free_port

sys.path.insert(0, str(Path(__file__).parents[1]))

from journeys.rig import Ledger, parse_export, post
from torture.cut_disk import NO_LOG_FLUSH, CutDisk

START_TIMEOUT_S = 60.0
IMAGE_BYTES = 1 << 30  # sparse; some servers stop taking when less is free
LOAD_S = (0.5, 6.0)
PAUSE_S = 0.005
SENDERS = 3


class Peer(abc.ABC):
    """A server: how to start it, send one claim, and list what it has. Claims that are altered are listed as -claim."""

    name = ""
    setting = ""
    program = ""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.second = free_port(), free_port()

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The command that starts the server."""

    @abc.abstractmethod
    def ready(self) -> bool:
        """True if the server takes claims."""

    @abc.abstractmethod
    def link(self, ledger: Ledger) -> tuple[Callable[[int], bool], Callable[[], None]]:
        """(A function that sends a claim and returns True if it was acknowledged, a function that closes the link)."""

    @abc.abstractmethod
    def found(self, ledger: Ledger) -> set[int]:
        """The claims it has."""


class Metrics(Peer):
    """Takes remote write over HTTP."""

    path = "/api/v1/write"

    def ready(self) -> bool:
        return self.get("/-/ready")[0] == 200

    def get(self, path: str, port: int = 0) -> tuple[int, bytes]:
        link = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        with contextlib.closing(link):
            link.request("GET", path)
            reply = link.getresponse()
            return reply.status, reply.read()

    def link(self, ledger: Ledger) -> tuple[Callable[[int], bool], Callable[[], None]]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        return (lambda claim: post(link, ledger.body(claim)) // 100 == 2), link.close

    def found(self, ledger: Ledger) -> set[int]:
        return whole_claims(ledger, self.bits())

    @abc.abstractmethod
    def bits(self) -> dict[tuple[str, str, int], int]:
        """(claim label, index label, time) to the bits of the value."""


def whole_claims(ledger: Ledger, got: dict[tuple[str, str, int], int]) -> set[int]:
    """Claims of which every sample is there; negative where a value is another."""
    whole: set[int] = set()
    for claim in ledger.claimed:
        wanted = [
            (dict(labels), ts_ms, struct.unpack("<Q", struct.pack("<d", value))[0])
            for labels, ts_ms, value in ledger.samples(claim)
        ]
        bits = [got.get((labels["claim"], labels["index"], ts_ms)) for labels, ts_ms, _ in wanted]
        if None not in bits:
            whole.add(claim if bits == [each for _, _, each in wanted] else -claim)
    return whole


class Nissa(Metrics):
    name, setting, program = "Nissa", "default (fsync)", sys.executable

    def command(self) -> list[str]:
        listen = ["--ingest", f"127.0.0.1:{self.port}", "--api", f"127.0.0.1:{self.second}"]
        return [sys.executable, "-m", "nissa.cli.ingest", "--data-dir", str(self.directory / "data"), *listen]

    def ready(self) -> bool:
        return self.get("/api/status", self.second)[0] == 200

    def bits(self) -> dict[tuple[str, str, int], int]:
        _, body = self.get("/api/v1/export?" + urlencode({"match[]": '{job="ledger"}'}), self.second)
        found = parse_export(body)
        return {
            (dict(labels)["claim"], dict(labels)["index"], ts_ms): bits
            for labels, series in found.items()
            for ts_ms, bits in series.items()
        }


class Prometheus(Metrics):
    name, setting, program = "Prometheus", "default; it has no stricter one", "prometheus"

    def command(self) -> list[str]:
        config = self.directory / "prometheus.yml"
        config.write_text("global: {}\n")
        data = f"--storage.tsdb.path={self.directory / 'data'}"
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        return ["prometheus", f"--config.file={config}", data, listen, "--web.enable-remote-write-receiver"]

    def bits(self) -> dict[tuple[str, str, int], int]:
        status, body = self.get("/api/v1/query?" + urlencode({"query": '{job="ledger"}[2h]'}))
        if status != 200:
            raise RuntimeError(f"query: {status} {body[:300]!r}")
        got = {}
        for series in json.loads(body)["data"]["result"]:
            for seconds, value in series["values"]:
                bits = struct.unpack("<Q", struct.pack("<d", float(value)))[0]
                got[series["metric"]["claim"], series["metric"]["index"], round(seconds * 1000)] = bits
        return got


class VictoriaMetrics(Metrics):
    name, setting, program = "VictoriaMetrics", "default; it has no stricter one", "victoria-metrics"

    def command(self) -> list[str]:
        data = f"-storageDataPath={self.directory / 'data'}"
        return ["victoria-metrics", data, f"-httpListenAddr=127.0.0.1:{self.port}"]

    def ready(self) -> bool:
        return self.get("/health")[0] == 200

    def bits(self) -> dict[tuple[str, str, int], int]:
        self.get("/internal/force_flush")
        got = {}
        _, body = self.get("/api/v1/export?" + urlencode({"match[]": '{job="ledger"}'}))
        for line in body.splitlines():
            series = json.loads(line)
            for ts_ms, value in zip(series["timestamps"], series["values"], strict=True):
                bits = struct.unpack("<Q", struct.pack("<d", value))[0]
                got[series["metric"]["claim"], series["metric"]["index"], ts_ms] = bits
        return got

    def found(self, ledger: Ledger) -> set[int]:
        """The claims it has, comparing values within 1e-9: it rounds by design (to 64 bits, decimal)."""
        got = self.bits()
        whole: set[int] = set()
        for claim in ledger.claimed:
            wanted = [(dict(labels), ts_ms, value) for labels, ts_ms, value in ledger.samples(claim)]
            pairs = [(got.get((labels["claim"], labels["index"], at)), value) for labels, at, value in wanted]
            if all(bits is not None for bits, _ in pairs):
                near = all(
                    abs(struct.unpack("<d", struct.pack("<Q", bits))[0] - value) <= 1e-9 * abs(value)
                    for bits, value in pairs
                    if bits is not None
                )
                whole.add(claim if near else -claim)
        return whole


class Socket:
    """A connection with lines."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        line = self.file.readline()
        if not line:
            raise ConnectionError("closed")
        return line.rstrip(b"\r\n")

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def text_of(ledger: Ledger, claim: int) -> str:
    """A claim as a message: its number, and bytes that follow from it."""
    return f"{claim} " + random.Random(ledger.seed * 7 + claim).randbytes(200).hex()


def claims_of(ledger: Ledger, messages: list[str]) -> set[int]:
    """Claims of messages; negative where the message is another."""
    numbers = {int(message.split()[0]): message for message in messages}
    return {claim if text_of(ledger, claim) == text else -claim for claim, text in numbers.items()}


class Redis(Peer):
    name, setting, program = "Redis", "default (snapshots)", "redis-server"
    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(data), "--logfile", "redis.log"]
        return ["redis-server", *own, *self.options]

    def ask(self, link: Socket, *words: str) -> Any:
        link.send(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        return self.answer(link)

    def answer(self, link: Socket) -> Any:
        line = link.line()
        kind, rest = line[:1], line[1:]
        if kind == b"*":
            return [self.answer(link) for _ in range(int(rest))]
        if kind == b"$":
            data = link.file.read(int(rest) + 2) if int(rest) >= 0 else b""
            return data[:-2].decode()
        if kind == b"-":
            raise RuntimeError(rest.decode())
        return rest.decode()

    def ready(self) -> bool:
        with contextlib.closing(Socket(self.port)) as link:
            return bool(self.ask(link, "PING") == "PONG")

    def link(self, ledger: Ledger) -> tuple[Callable[[int], bool], Callable[[], None]]:
        link = Socket(self.port)
        return (lambda claim: bool(self.ask(link, "XADD", "ledger", "*", "m", text_of(ledger, claim)))), link.close

    def found(self, ledger: Ledger) -> set[int]:
        with contextlib.closing(Socket(self.port)) as link:
            return claims_of(ledger, [fields[1] for _, fields in self.ask(link, "XRANGE", "ledger", "-", "+")])


class RedisEverySecond(Redis):
    setting, options = "appendonly, appendfsync everysec", ("--appendonly", "yes", "--appendfsync", "everysec")


class RedisAlways(Redis):
    setting, options = "appendonly, appendfsync always", ("--appendonly", "yes", "--appendfsync", "always")


class Nats(Peer):
    name, setting = "NATS JetStream", "default (syncs every 2 min); 2.9 has no stricter one"
    program = "nats-server"

    def command(self) -> list[str]:
        config = self.directory / "nats.conf"
        store = f'jetstream {{ store_dir: "{self.directory}/data" }}'
        config.write_text(f"host: 127.0.0.1\nport: {self.port}\nserver_name: one\n{store}\n")
        return ["nats-server", "-c", str(config)]

    def connect(self) -> Socket:
        link = Socket(self.port)
        link.line()
        link.send(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB inbox 1\r\nPING\r\n')
        while link.line() != b"PONG":
            pass
        return link

    def ask(self, link: Socket, subject: str, body: str) -> dict[str, Any]:
        """A request, answered to the inbox; one at a time."""
        inbox = f"inbox.{random.getrandbits(60)}"
        data = body.encode()
        link.send(f"SUB {inbox} 2\r\nUNSUB 2 1\r\nPUB {subject} {inbox} {len(data)}\r\n".encode() + data + b"\r\n")
        while True:
            line = link.line()
            if line == b"PING":
                link.send(b"PONG\r\n")
            if line.startswith((b"MSG", b"HMSG")):
                size = int(line.split()[-1])
                text = link.file.read(size + 2)[:-2]
                return dict(json.loads(text)) if text.startswith(b"{") else {"error": text.decode()}

    def ready(self) -> bool:
        with contextlib.closing(self.connect()) as link:
            create = json.dumps({"name": "LEDGER", "subjects": ["ledger"], "storage": "file"})
            answer = self.ask(link, "$JS.API.STREAM.INFO.LEDGER", "")
            if "error" in answer:
                answer = self.ask(link, "$JS.API.STREAM.CREATE.LEDGER", create)
            return "error" not in answer

    def link(self, ledger: Ledger) -> tuple[Callable[[int], bool], Callable[[], None]]:
        link = self.connect()
        return (lambda claim: "seq" in self.ask(link, "ledger", text_of(ledger, claim))), link.close

    def found(self, ledger: Ledger) -> set[int]:
        with contextlib.closing(self.connect()) as link:
            state = self.ask(link, "$JS.API.STREAM.INFO.LEDGER", "")["state"]
            messages = []
            for number in range(state["first_seq"], state["last_seq"] + 1):
                answer = self.ask(link, "$JS.API.STREAM.MSG.GET.LEDGER", json.dumps({"seq": number}))
                if "message" in answer:
                    messages.append(base64.b64decode(answer["message"]["data"]).decode())
            return claims_of(ledger, messages)


HEAD = (
    "| server | setting | end | times | acknowledged | lost | ends with a loss | altered | invented | reaches back | "
    "did not start again |"
)
PEERS: tuple[type[Peer], ...] = (Nissa, Prometheus, VictoriaMetrics, Redis, RedisEverySecond, RedisAlways, Nats)


class Score(msgspec.Struct):
    """Results of one server under one attack."""

    ends: int = 0
    acknowledged: int = 0
    ends_with_loss: int = 0
    lost: int = 0
    altered: int = 0
    invented: int = 0
    reach_s: float = 0.0
    not_back: int = 0

    def __str__(self) -> str:
        numbers = (self.ends, self.acknowledged, self.lost, self.ends_with_loss, self.altered, self.invented)
        return " | ".join([*map(str, numbers), f"{self.reach_s:.1f} s", str(self.not_back)])


class Trial:
    """A server on a disk of its own."""

    def __init__(self, kind: type[Peer], outside: Path, seed: int) -> None:
        self.draw = random.Random(seed)
        self.disk = CutDisk(outside, self.draw, IMAGE_BYTES)
        self.peer = kind(self.disk.directory)
        self.ledger = Ledger(seed)
        self.acknowledged: dict[int, float] = {}
        self.score = Score()
        self.log = outside / "server.log"

    def round(self, how: str) -> None:
        """Start, load, end, start, look."""
        with self.running() as process:
            stop = threading.Event()
            threads = [threading.Thread(target=self.send, args=(stop,)) for _ in range(SENDERS)]
            for thread in threads:
                thread.start()
            time.sleep(self.draw.uniform(*LOAD_S))
            stop.set()  # answers from here on do not count
            ended_s = time.monotonic()
            if how == "power cut":
                self.disk.cut(NO_LOG_FLUSH)
            kill(process)
            for thread in threads:
                thread.join()
        if how == "power cut":
            self.disk.restart()
        self.score.ends += 1
        try:
            with self.running():
                found = self.peer.found(self.ledger)
        except TimeoutError:
            self.score.not_back += 1
            found = set()
            shutil.rmtree(self.disk.directory / "data", ignore_errors=True)
        self.settle(found, ended_s)

    def settle(self, found: set[int], ended_s: float) -> None:
        """Compare the claims found, and forget lost ones."""
        lost = [claim for claim in self.acknowledged if claim not in found and -claim not in found]
        score = self.score
        score.altered += sum(claim < 0 for claim in found)
        score.invented += sum(abs(claim) not in self.ledger.claimed for claim in found)
        score.lost += len(lost)
        score.ends_with_loss += bool(lost)
        if lost:
            score.reach_s = max(score.reach_s, ended_s - min(self.acknowledged[claim] for claim in lost))
        for claim in lost:
            del self.acknowledged[claim]

    def send(self, stop: threading.Event) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, RuntimeError, ValueError):
            send, close = self.peer.link(self.ledger)
            with contextlib.closing(Closing(close)):
                while not stop.is_set():
                    claim = self.ledger.claim()
                    if send(claim) and not stop.is_set():
                        self.acknowledged[claim] = time.monotonic()
                        self.score.acknowledged += 1
                    time.sleep(PAUSE_S)

    @contextlib.contextmanager
    def running(self) -> Iterator[Any]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.peer.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.disk.directory.parent
            )
        try:
            until_s = time.monotonic() + START_TIMEOUT_S
            while not self.is_ready():
                if time.monotonic() > until_s or process.poll() is not None:
                    raise TimeoutError(f"{self.peer.name} does not start; see {self.log}")
                time.sleep(0.02)
            yield process
        finally:
            kill(process)

    def is_ready(self) -> bool:
        try:
            return self.peer.ready()
        except (OSError, http.client.HTTPException, RuntimeError):
            return False


class Closing(msgspec.Struct):
    """Makes a function usable with ``contextlib.closing``."""

    close: Callable[[], None]


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def main(arguments: list[str]) -> None:
    """Every server, killed and cut; a line of a table each, as soon as it is known."""
    rounds = int(arguments[0]) if arguments else 20
    chosen = [kind for kind in PEERS if not arguments[1:] or kind.__name__ in arguments[1:]]
    missing = {kind.name for kind in chosen if shutil.which(kind.program) is None}
    if missing:
        print(f"not installed, so left out: {', '.join(sorted(missing))}")
    chosen = [kind for kind in chosen if kind.name not in missing]
    seed = int(os.environ.get("NISSA_SEED", str(random.randrange(1 << 30))))
    print(f"seed {seed}\n{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}", flush=True)
    for kind in chosen:
        for how in ("kill -9", "power cut"):
            outside = Path(tempfile.mkdtemp())
            trial = Trial(kind, outside, seed)
            try:
                for _ in range(rounds):
                    trial.round(how)
            finally:
                trial.disk.unmount()
                shutil.rmtree(outside)
            print(f"| {kind.name} | {kind.setting} | {how} | {trial.score} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
