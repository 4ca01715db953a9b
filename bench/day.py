"""A mixed day in an hour: everything at once against one daemon, at fixed rates, and what it costs.

    python -m bench.day [--system nissa] [--minutes 60] [--rate 300000] [--targets 100] [--rules 1000] [--dashboards 50]

    remote write   --rate samples/s, open loop: latency counts from when a body was due; 5 % new series each hour
    OTLP           1,000 points/s, over HTTP                 Oona        100 packets/s of 8 metrics, in a real Redis
    scraping       --targets of 1,000 series every 15 s      rules       --rules every 30 s, one of ten an alert
    dashboards     --dashboards of 4 range queries over the last hour, each refreshed every 30 s
    pushes         10 batch jobs a second, 100 groups        alerts      notified to a webhook
    sinks          remote write to a receiver that counts, sealed files to a folder
    ladder         three tiers

``--system prometheus`` gives the same to Prometheus with Alertmanager and Pushgateway, but for OTLP, Oona, the folder
and the tiers, which are Nissa's alone.

Printed: CPU by thread (of the others by process), resident memory and the pace of the machine by sixteenths of the run,
ack and query latencies, what was sent late, and the accounting of Nissa. Senders run on the same cores: --rate is what
is offered, not what a system could take.
"""

import argparse
import http.client
import json
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import cramjam
import numpy as np

from bench.day_systems import STARTS, Place, System
from bench.load import METRICS, Template, host_labels, remote_write_template
from bench.scraping import serve_pages
from bench.servers import Server

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from journeys.brokers import RedisServer, bus, put

PER_REQUEST = 2_000
CONNECTIONS = 4  # of remote write, each a process
HOSTS_MAX = 10_000_000  # of one of them
CHURN_PER_HOUR = 0.05
REFRESH_S = 30.0
OTLP_POINTS = 1_000
PACKETS_PER_S = 100
PARTS = 16
RANGE_S = 3600
STEP_S = 15
PUSHES_PER_S = 10
PUSH_GROUPS = 100
QUERIES = (
    'sum by (region) (rate(cpu_usage_user{{service="{0}"}}[1m]))',
    'max by (rack) (cpu_usage_system{{service="{0}"}})',
    'topk(5, avg_over_time(cpu_usage_idle{{service="{0}"}}[5m]))',
    "sum(rate(bench_family_{1}_total[1m]))",
)


class Rounds:
    """Bodies of remote write with one sample of each series, of series some of which are replaced by new ones."""

    def __init__(self, series: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._next_host = seed * HOSTS_MAX
        self._values = np.random.default_rng(seed)
        hosts = max(series // len(METRICS), 1)
        per_request = PER_REQUEST // len(METRICS)
        self.templates = [self._new(min(per_request, hosts - first)) for first in range(0, hosts, per_request)]

    def _new(self, hosts: int) -> tuple[Template, int]:
        part = []
        for _ in range(hosts):
            labels = host_labels(self._chance, self._next_host)
            self._next_host += 1
            part += [(metric, labels) for metric in METRICS]
        return remote_write_template(part, int(time.time() * 1000)), hosts

    def replace(self, place: int) -> None:
        """New series in the place of those of one request."""
        self.templates[place] = self._new(self.templates[place][1])

    def body(self, place: int) -> bytes:
        """One request, of now."""
        template, hosts = self.templates[place]
        template.fill(np.round(self._values.uniform(0, 100, hosts * len(METRICS))), int(time.time() * 1000))
        return bytes(cramjam.snappy.compress_raw(template.body))


def send_remote_write(url: str, rate: int, seed: int, seconds: float, results: Connection) -> None:
    """Offer ``rate`` samples/s; tells latencies in seconds, bodies that were refused, and samples acknowledged."""
    rounds = Rounds(rate, seed)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    headers["X-Prometheus-Remote-Write-Version"] = "0.1.0"
    count = len(rounds.templates)
    replace_s = 3600 / (CHURN_PER_HOUR * count)
    results.send("ready")
    results.recv()  # all are
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    latencies: list[float] = []
    refused = acknowledged = 0
    begun = time.monotonic()
    replaced_s = begun
    for number in range(int(seconds * count)):
        due = begun + number / count
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        place = number % count
        if time.monotonic() - replaced_s >= replace_s:
            rounds.replace(place)
            replaced_s = time.monotonic()
        link.request("POST", "/api/v1/write", rounds.body(place), headers)
        answer = link.getresponse()
        answer.read()
        latencies.append(time.monotonic() - due)
        refused += answer.status != 204
        acknowledged += rounds.templates[place][1] * len(METRICS) if answer.status == 204 else 0
        if time.monotonic() - begun > seconds:  # what is late at the end is not sent
            break
    results.send((latencies, refused, acknowledged))


def send_otlp(url: str, seconds: float) -> None:
    """One request a second with a point of every series."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    points = scope.metrics.add(name="day.otlp").gauge.data_points
    for number in range(OTLP_POINTS):
        point = points.add(as_double=number)
        point.attributes.add(key="number").value.string_value = str(number)
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for point in points:
            point.time_unix_nano = time.time_ns()
        link.request("POST", "/v1/metrics", request.SerializeToString(), {"Content-Type": "application/x-protobuf"})
        link.getresponse().read()
        time.sleep(1)


def send_oona(server: RedisServer, seconds: float) -> int:
    """Packets into the stream of telemetry; how many."""
    from nissa._proto import leyline_pb2 as leyline

    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        bodies, now_ms = [], int(time.time() * 1000)
        for _ in range(PACKETS_PER_S):
            packet = leyline.TelemetryPacket(packet_id=f"day-{count}", source_subsystem="tolaria")
            packet.timestamp.FromMilliseconds(now_ms + count % PACKETS_PER_S)
            for index in range(8):
                packet.metrics.add(name=f"day.oona{index}", value=count)
            bodies.append(bus(packet))
            count += 1
        put(server.client, "oona.telemetry", bodies)
        time.sleep(1)
    return count


def refresh(url: str, number: int, seconds: float, took_s: list[float], failed: list[str]) -> None:
    """One dashboard."""
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    end = time.monotonic() + seconds
    time.sleep(number % REFRESH_S * min(1.0, seconds / REFRESH_S / 2))
    while time.monotonic() < end:
        for query in QUERIES:
            now = time.time() // STEP_S * STEP_S  # multiples of the step, as Grafana asks
            asked = {
                "query": query.format(number % 20, number % 5 * 2),
                "start": now - RANGE_S,
                "end": now,
                "step": STEP_S,
            }
            begun = time.monotonic()
            link.request("GET", f"/api/v1/query_range?{urlencode(asked)}")
            answer = link.getresponse()
            body = answer.read()
            took_s.append(time.monotonic() - begun)
            if answer.status != 200:
                failed.append(body.decode()[:200])
        link.close()  # the API closes idle connections (api.idle_timeout); the next request opens a new one
        time.sleep(min(REFRESH_S, max(end - time.monotonic(), 0)))


class _Counting(BaseHTTPRequestHandler):
    """A receiver of remote write that reads and forgets."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.send_header("X-Prometheus-Remote-Write-Samples-Written", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def send_pushes(url: str, seconds: float, failed: list[str]) -> None:
    """Batch jobs: a group each, twenty samples a push."""
    end, number = time.monotonic() + seconds, 0
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    while time.monotonic() < end:
        values = "".join(f'day_push_rows{{part="{part}"}} {number + part}\n' for part in range(20))
        path = f"{urlsplit(url).path}/day/instance/{number % PUSH_GROUPS}"
        link.request("PUT", path, "# TYPE day_push_rows gauge\n" + values, {"Content-Type": "text/plain"})
        answer = link.getresponse()
        body = answer.read()
        if answer.status >= 300:
            failed.append(body.decode()[:200])
        number += 1
        time.sleep(1 / PUSHES_PER_S)


def watch(system: System, seconds: float, found: "Found") -> None:
    """Resident memory and the pace of the machine, PARTS times."""
    for _ in range(PARTS):
        time.sleep(seconds / PARTS)
        found.pace_ms.append(pace_ms())
        with suppress(OSError):
            found.resident.append(system.resident_mib())


def pace_ms() -> float:
    """CPU time of a million additions: virtual processors are faster at one time than at another."""
    begun, total = time.thread_time(), 0
    for number in range(1_000_000):
        total += number
    return (time.thread_time() - begun) * 1e3


def get(url: str, path: str) -> Any:
    """JSON of the API."""
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    link.request("GET", path)
    return json.loads(link.getresponse().read())


def share(values: list[float], part: float) -> float:
    """The value that this share of them does not pass; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else 0.0


@dataclass
class Found:
    """What a run found. late_s: from when a body was due to its ack. resident: MiB. failed: texts of errors.

    pace_ms: of the machine, over time.
    """

    late_s: list[float] = field(default_factory=list)
    refused: int = 0
    acknowledged: int = 0
    resident: list[float] = field(default_factory=list)
    pace_ms: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    spent_s: dict[str, float] = field(default_factory=dict)


def measure(options: argparse.Namespace, directory: Path) -> None:
    """Run it all, and print."""
    redis = RedisServer(directory / "redis")
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), _Counting)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    here, there = multiprocessing.Pipe()
    pages = multiprocessing.Process(target=serve_pages, args=(1_000, there), daemon=True)
    pages.start()
    system = STARTS[options.system](Place(directory, here.recv(), receiver.server_port, redis.url), options)
    try:
        report(system, options, run(system, options, redis))
    finally:
        system.kill()
        redis.kill()
        pages.terminate()
        receiver.shutdown()


def run(system: System, options: argparse.Namespace, redis: RedisServer) -> Found:
    """All loads, until the time is over."""
    seconds, found = options.minutes * 60, Found()
    pipes = [multiprocessing.Pipe() for _ in range(CONNECTIONS)]
    for seed, (_, tell) in enumerate(pipes):
        arguments = (system.write_url, options.rate // CONNECTIONS, seed, seconds, tell)
        multiprocessing.Process(target=send_remote_write, args=arguments, daemon=True).start()
    for results, _ in pipes:
        results.recv()  # its bodies are made
    for results, _ in pipes:
        results.send("go")
    before = system.cpu_s()
    works: list[Callable[[], object]] = [
        lambda: watch(system, seconds, found),
        lambda: send_pushes(system.push_url, seconds, found.failed),
        *(
            lambda number=number: refresh(system.api_url, number, seconds, found.took_s, found.failed)  # type: ignore[misc]
            for number in range(options.dashboards)
        ),
    ]
    if system.server is not None:
        works += [lambda: send_otlp(system.write_url, seconds), lambda: send_oona(redis, seconds)]
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for results, _ in pipes:
        latencies, refused, acknowledged = results.recv()
        found.late_s += latencies
        found.refused += refused
        found.acknowledged += acknowledged
    for thread in threads:
        thread.join(120)
    found.spent_s = {name: used - before.get(name, 0.0) for name, used in system.cpu_s().items()}
    return found


def report(system: System, options: argparse.Namespace, found: Found) -> None:
    """Print what was found."""
    seconds, spent_s = options.minutes * 60, sum(found.spent_s.values())
    print(f"\n{system.name}: {options.minutes:g} minutes, offered {options.rate:,} samples/s of remote write")
    print(f"\nCPU: {spent_s:.1f} s, {spent_s / seconds:.2f} cores, "
          f"{spent_s / max(found.acknowledged, 1) * 1e6:.2f} s per million samples of remote write")  # fmt: skip
    for name, used in sorted(found.spent_s.items(), key=lambda pair: -pair[1]):
        if used >= 0.01 * spent_s:
            print(f"  {name:<24} {used:8.1f} s  {used / seconds:5.2f} cores")
    print("\na million additions in ms: " + " ".join(f"{one:.0f}" for one in found.pace_ms))
    print("resident MiB: " + " ".join(f"{one:.0f}" for one in found.resident))
    rate = found.acknowledged / seconds
    print(f"remote write: {found.acknowledged:,} samples acknowledged, {rate:,.0f}/s; {found.refused} bodies refused")
    late_s, took_s = found.late_s, found.took_s
    print(f"  ack from when due: p50 {share(late_s, 0.5) * 1e3:.1f} ms, p99 {share(late_s, 0.99) * 1e3:.1f} ms")
    print(f"queries: {len(took_s)}; p50 {share(took_s, 0.5) * 1e3:.0f} ms, p99 {share(took_s, 0.99) * 1e3:.0f} ms")
    print(f"failed queries and pushes: {len(found.failed)}")
    for text in sorted(set(found.failed))[:3]:
        print(f"  {text}")
    if system.server is not None:
        report_accounting(system.server)


def report_accounting(server: Server) -> None:
    """Print what became of every record."""
    status, accounting = get(server.api_url, "/api/status"), get(server.api_url, "/api/v1/accounting")["data"]
    total = accounting["total"]
    counts = ", ".join(f"{name} {total[name]:,}" for name in ("received", "stored", "duplicate", "in_flight"))
    print(f"\nrecords: {counts}, refused {total['refused']}, unaccounted {total['unaccounted']}")
    for source, counters in sorted(accounting["sources"].items()):
        print(f"  {source:<28} stored {counters['stored']:>14,}  unaccounted {counters['unaccounted']}")
    for name, sink in sorted(status["sinks"].items()):
        done = sink.get("delivered", sink.get("copied_files"))
        print(f"sink {name}: {sink['state']}, delivered {done:,}, backlog {sink.get('backlog_frames', 0):,} frames")
    for name in ("range_cache", "row_groups"):
        print(f"{name}: {status[name]['hits']:,} hits, {status[name]['misses']:,} misses")
    rules = status["rules"]
    print(f"rules: {rules['evaluations']:,} evaluations, {rules['failures']} failures, {rules['missed']} missed")
    print(f"series: {status['series']['active']:,} active; blocks {status['blocks']['bytes'] / 2**20:.0f} MiB; "
          f"mode {status['mode']}, {status['safeguards']['mode']['mode']}")  # fmt: skip


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", choices=sorted(STARTS), default="nissa")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=300_000)
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--dashboards", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nissa-day-") as place:
        measure(options, Path(place))


if __name__ == "__main__":
    main()
