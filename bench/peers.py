"""Head to head: the same bodies to Nissa, VictoriaMetrics and Prometheus, one after the other.

    python -m bench.peers [--case known|new|capture …] [--servers nissa victoria-metrics prometheus] [--repeat 1]
                          [--readers 2]

    known     10,000 series, 2,000 per request, 200 rounds a second apart: what running costs
    new       200,000 series, 2,000 per request, 10 rounds, all of them new: what registering costs
    spans     10,000 series, 15 s apart, over four hours: what running costs when spans of the ladder end; Nissa alone
    bare      the same without a ladder
    sustained 10,000 series, 1,000 rounds, counted from 6 s after the start: what running costs once it runs
    capture   the recorded five minutes of a real Prometheus: bytes on disk

Printed per server: CPU seconds per million samples with five seconds of settling charged and how many times Nissa's
that is, resident memory after it, and bytes per sample on disk after a clean stop: the samples' own files, and
everything. Nissa runs with durability fsync and seals within the measured time, so that its Parquet is paid for; a line
says how many samples its blocks held before the stop. With ``--readers``, that many clients ask for rates of one metric
over five minutes, one query after the other, while samples are sent; their CPU time is part of the server's then.
"""

import argparse
import json
import struct
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cramjam

from bench.load import Shape, encoded_bodies, samples_of
from bench.send import Sent, send
from bench.servers import Server, installed, running
from bench.usage import bytes_under, cpu_by_thread
from bench.workloads import NEW_MAX, decode_into, new_index
from nissa._fast.batch import Batch
from nissa.model.frame import Codec, Encoding, Frame, Source

CAPTURE = Path(__file__).parent / "captures" / "real-remote-write-5min.rw.zst"
SETTLE_S = 5.0
QUERY = "sum by (team) (rate(cpu_usage_user[5m]))"
SAMPLE_FILES = {"nissa": ["blocks"], "victoria-metrics": ["data"], "prometheus": ["wal", "chunks_head"]}
RECORD = struct.Struct("<Iq")
# Sealing happens while it is measured: by count during the run, by age while settling.
SEALING = {"storage.seal_samples": "1000000", "storage.seal_interval": "3000ms"}


@dataclass(frozen=True)
class Case:
    """Bodies to send to every server. settings: what Nissa is started with, beyond its defaults."""

    name: str
    title: str
    bodies: list[bytes]
    samples: int
    per_round: int
    settings: dict[str, str]
    connections: int = 2
    rest_s: float = 0.0  # between the start of a server and the first request that counts


@dataclass(frozen=True)
class Row:
    """The figures of one server for a case."""

    server: str
    sent: Sent
    sample_bytes: int
    disk_bytes: int
    kept: str
    answered: int  # queries of readers


def known_case() -> Case:
    """10,000 series, 200 rounds. In the first minutes of an hour the ladder has windows to write among them."""
    shape = Shape(hosts=1_000, rounds=200)
    return _devops("known", "10,000 series, 2,000 per request, 200 rounds a second apart", shape)


def sustained_case() -> Case:
    """10,000 series, 1,000 rounds, to a server whose start is over."""
    case = _devops("sustained", "10,000 series, 2,000 per request, 1,000 rounds", Shape(hosts=1_000, rounds=1_000))
    return replace(case, rest_s=6.0)


def new_case() -> Case:
    """200,000 series, 10 rounds, all new."""
    return _devops("new", "200,000 series, 2,000 per request, 10 rounds, all new", Shape(hosts=20_000, rounds=10))


def spans_case() -> Case:
    """Four hours that are over, so that windows of most of them are written. One connection, and no telemetry of
    Nissa's own: what is hours behind another source or the clock's is late, and its windows are written again."""
    shape = Shape(hosts=1_000, rounds=960, step_ms=15_000)
    settings = {**SEALING, "acceptance.past": f"{6 * 3_600_000}ms", "telemetry.interval": "0"}
    return Case("spans", "10,000 series, 15 s apart, four hours", *_sent(shape), settings, 1)


def bare_case() -> Case:
    """The same without a ladder."""
    case = spans_case()
    return replace(
        case, name="bare", title=f"{case.title}, no ladder", settings={**case.settings, "ladder.tiers": "[]"}
    )


def _sent(shape: Shape) -> tuple[list[bytes], int, int]:
    return encoded_bodies(shape), samples_of(shape), shape.requests_per_round


def _devops(name: str, title: str, shape: Shape) -> Case:
    return Case(name, title, *_sent(shape), SEALING)


def capture_case() -> Case:
    """The recorded requests of a real Prometheus; its times are long past, so Nissa's acceptance window is opened."""
    bodies = recorded_bodies(CAPTURE)
    settings = {**SEALING, "acceptance.past": f"{100 * 365 * 86_400_000}ms"}
    return Case("capture", "five recorded minutes of a real Prometheus", bodies, samples_in(bodies), 1, settings)


CASES: dict[str, Callable[[], Case]] = {
    "known": known_case,
    "sustained": sustained_case,
    "new": new_case,
    "capture": capture_case,
}
LADDER_CASES: dict[str, Callable[[], Case]] = {"spans": spans_case, "bare": bare_case}


def recorded_bodies(path: Path) -> list[bytes]:
    """The snappy bodies of a recorded capture: zstd over records of length, receive time, body."""
    data = bytes(cramjam.zstd.decompress(path.read_bytes()))
    bodies, at = [], 0
    while at < len(data):
        length, _ = RECORD.unpack_from(data, at)
        at += RECORD.size + length
        bodies.append(data[at - length : at])
    return bodies


def samples_in(bodies: list[bytes]) -> int:
    """Samples in remote-write 1.0 bodies."""
    index, batch, total = new_index(), Batch(), 0
    for body in bodies:
        plain = bytes(cramjam.snappy.decompress_raw(body))
        decode_into(Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, 0, plain), index, batch, NEW_MAX)
        total += len(batch)
    return total


def print_threads(name: str, before: dict[str, float], after: dict[str, float], samples: int) -> None:
    """CPU seconds of each thread per million samples, the greatest first."""
    used = {thread: (cpu_s - before.get(thread, 0.0)) / samples * 1e6 for thread, cpu_s in after.items()}
    for thread, cpu_s in sorted(used.items(), key=lambda item: -item[1])[:12]:
        print(f"    {name:18} {cpu_s:6.3f}  {thread}")


@contextmanager
def read_by(readers: int, url: str, answered: list[float]) -> Iterator[None]:
    """Clients that ask ``QUERY`` without a pause until the block ends. answered: gets the seconds of each answer."""
    stopping = threading.Event()
    query = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': QUERY})}"

    def ask() -> None:
        while not stopping.is_set():
            begun = time.perf_counter()
            answer_of(query)
            answered.append(time.perf_counter() - begun)

    clients = [threading.Thread(target=ask) for _ in range(readers)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        stopping.set()
        for client in clients:
            client.join()


def measure(name: str, case: Case, *, threads: bool = False, readers: int = 0) -> Row:
    """Start a server, send a case, let it settle, stop it, look at its disk. readers: clients that query meanwhile."""
    how = {"settings": case.settings} if name == "nissa" else {}
    with running(name, **how) as server:
        server.completed()
        time.sleep(case.rest_s)
        before = cpu_by_thread(server.process.pid) if threads else {}
        answered: list[float] = []
        with read_by(readers, server.api_url, answered):
            sent = send(
                case.bodies,
                url=server.write_url,
                kind="remote_write_1",
                samples=case.samples,
                pid=server.process.pid,
                per_round=case.per_round,
                settle_s=0.0 if readers else SETTLE_S,
                connections=case.connections,
            )
        sent.accepted()
        if threads:
            print_threads(name, before, cpu_by_thread(server.process.pid), case.samples)
        kept = kept_by_nissa(server, case.samples) if name == "nissa" else ""
        server.stop()
        sample_bytes = sum(bytes_under(server.data / part) for part in SAMPLE_FILES[name])
        return Row(name, sent, sample_bytes, bytes_under(server.data), kept, len(answered))


def kept_by_nissa(server: Server, samples: int) -> str:
    """Number of samples sent and of those in blocks, as text. Raises: RuntimeError where the accounting misses one."""
    balance = answer_of(f"{server.api_url}/api/v1/accounting")["sources"]["http/remote_write_1"]
    if balance["stored"] + balance["duplicate"] != samples:
        raise RuntimeError(f"sent {samples} samples: {balance}")
    blocks = answer_of(f"{server.api_url}/api/status")["blocks"]
    return f"{blocks['count']} blocks held {min(blocks['samples'], samples):,} of {samples:,} samples before the stop"


def answer_of(url: str) -> dict[str, Any]:
    """The answer of the control API, without its envelope."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        body: dict[str, Any] = json.load(answer)
    return body.get("data", body)


def table(case: Case, rows: list[Row]) -> str:
    """The rows of a case beside each other, as Markdown."""
    own = next((row for row in rows if row.server == "nissa"), None)
    lines = [
        f"{case.title}: {len(case.bodies)} requests, {case.samples:,} samples",
        "",
        "| server | cpu-s per M | x Nissa | rss MB | bytes per sample: own / all | ack p50 / p99 ms | M/s | queries |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = row.sent.cpu_s_per_million / own.sent.cpu_s_per_million if own else float("nan")
        lines.append(
            f"| {row.server} | {row.sent.cpu_s_per_million:.3f} | {ratio:.1f} | {row.sent.after.rss_bytes / 1e6:.0f} "
            f"| {row.sample_bytes / case.samples:.2f} / {row.disk_bytes / case.samples:.2f} "
            f"| {row.sent.latency_ms(0.5):.1f} / {row.sent.latency_ms(0.99):.1f} "
            f"| {case.samples / row.sent.wall_s / 1e6:.2f} | {row.answered} |"
        )
    return "\n".join([*lines, *(f"\n{row.server}: {row.kept}" for row in rows if row.kept)])


def main() -> None:
    """Run the cases and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=[*CASES, *LADDER_CASES])
    parser.add_argument("--servers", nargs="+", choices=installed(), default=installed())
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--threads", action="store_true", help="also print CPU seconds by thread")
    parser.add_argument("--readers", type=int, default=0, help="clients that query meanwhile")
    arguments = parser.parse_args()
    how = {"threads": arguments.threads, "readers": arguments.readers}
    for name in arguments.case or list(CASES):
        for _ in range(arguments.repeat):
            case = {**CASES, **LADDER_CASES}[name]()
            print(
                table(case, [measure(server, case, **how) for server in arguments.servers]),
                end="\n\n",
                flush=True,
            )


if __name__ == "__main__":
    main()
