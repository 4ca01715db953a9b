"""Bronze, Silver, Gold and incidents, each row beside its target; with SQLite, or PostgreSQL on the same cores.

    python -m bench.tiers [bronze] [rollups] [gold] [incident] [--database sqlite|postgresql]

    bronze    remote write as fast as it is acknowledged, by turns alone and beside --rate errors a second, each with an
              id and four attributes, while Silver rolls up keys every 5 s. Printed: samples/s of both, their ratio,
              rows/s that were acknowledged, and how soon one more of them is read at /api/v1/bronze
    rollups   --keys keys of one series each: a flush by the daemon's own work, the first, which catches up a quarter of
              an hour, and the ones after it, each a minute later; and one bucket of all keys
    gold      --definitions agreements of 100 services over --days of samples a minute: the nightly run, and before it
              a run that catches up all other days
    incident  a rule over 10,000 series of two hours and 20,000 errors opens an incident: until its evidence is there,
              and the page of the incident with it

Senders, the daemon and the database share the machine. What was written is read back, and a wrong number ends the run.
"""

import argparse
import json
import logging
import multiprocessing
import os
import pwd
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import structlog

from bench.load import Shape, columns_of, encoded_bodies, varint
from bench.send import send
from bench.servers import Server, start_nissa
from bench.usage import usage_of
from nissa._proto import telemetry_pb2
from nissa.config.database import DatabaseSettings
from nissa.config.silver import SilverMetric, SilverSettings
from nissa.config.tree import Acceptance, Config, Ingest, Storage
from nissa.database.database import Database, open_database
from nissa.incidents.incident_store import IncidentLimits, IncidentStore
from nissa.ingest.engine import Engine
from nissa.model.frame import Codec
from nissa.model.units import DAY_MS, HOUR_MS, MIB, MINUTE_MS, SECOND_MS
from nissa.service.silver_tasks import SilverTasks
from nissa.service.sla_tasks import SlaTasks
from nissa.tiers.rollup_rows import GRANULARITIES, Rollup, RollupKey
from nissa.tiers.sla import SlaDefinition
from nissa.tiers.sla_engine import SlaRun
from nissa.tiers.sla_store import SlaStore

ERROR = 3  # of TelemetryLevel
ROWS_PER_BODY = 500
SERVICES = 100
TIMEOUT_S = 300.0
POLL_S = 0.01
READS = 200
RULES = """
groups:
- name: bench
  interval: 1s
  rules:
  - alert: Busy
    expr: avg by (service) (cpu_usage_user{service="3"}) > -1
    labels: {severity: critical, incident: "true"}
"""


# ---- databases ----


@contextmanager
def database_url(kind: str) -> Iterator[str]:
    """The address of a new PostgreSQL of Debian, with its defaults; empty for SQLite."""
    if kind == "sqlite":
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="bench-pg-") as name:
        folder = Path(name)
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server does not run as root
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            owner = {"user": "postgres"}
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "cwd": folder, **owner}
        subprocess.run([_program("initdb"), "-D", folder / "data", "-A", "trust", "-U", "nissa"], check=True, **quiet)
        control = [_program("pg_ctl"), "-D", str(folder / "data"), "-w", "-l", str(folder / "log")]
        subprocess.run([*control, "-o", f"-c listen_addresses= -k {folder}", "start"], check=True, **quiet)
        try:
            yield f"postgresql://nissa@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else shutil.which(name) or name


# ---- bronze ----


def error_bodies(first: int, count: int, service: str = "") -> list[bytes]:
    """Bodies of packets of one error each, about 300 bytes. first: number of the first, which makes ids unique."""
    now_ms = int(time.time() * 1000)
    bodies = []
    for start in range(first, first + count, ROWS_PER_BODY):
        out = bytearray()
        for number in range(start, min(start + ROWS_PER_BODY, first + count)):
            source = service or f"service-{number % SERVICES}"
            packet = telemetry_pb2.TelemetryPacket(packet_id=f"bench-{number}", source=source, timestamp_ms=now_ms)
            event = packet.events.add(event_id=f"{number:016x}", level=ERROR)
            event.description = f"payment {number} was refused by the bank: the card has expired"
            texts = {"service_id": source, "trace_id": f"{number:032x}", "user_id": f"{number % 997:x}"}
            for name, value in {**texts, "http.route": "/pay/{id}"}.items():
                event.attributes.add(name=name, value=value)
            body = packet.SerializeToString()
            out += varint(len(body)) + body
        bodies.append(bytes(out))
    return bodies


def _send_errors(url: str, rows: int, first: int, stop: Event, told: Connection) -> None:
    """Send so many errors a second until told to stop; tells how many, and how long it took."""
    begun, sent = time.perf_counter(), 0
    while not stop.is_set():
        bodies = error_bodies(first + sent, rows)
        send(
            bodies, url=url, kind="packets", samples=rows, pid=os.getpid(), per_round=len(bodies), rate=float(rows)
        ).accepted()
        sent += rows
    told.send((sent, time.perf_counter() - begun))


def bronze(options: argparse.Namespace, url: str) -> None:
    """Ingestion alone and beside errors."""
    silver = json.dumps([{"match": '{__name__=~"cpu_usage_user"}', "tags": ["hostname"]}])
    settings = {"silver.metrics": silver, "silver.interval": "5s", "database.url": url}
    alone, beside, rows = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory(prefix="bench-tiers-") as folder:
        server = start_nissa(Path(folder) / "data", settings)
        try:
            shape = Shape(hosts=options.hosts, rounds=options.rounds)
            _ingested(server, shape)  # registers the series
            first = 0
            for _ in range(options.turns):
                alone.append(_ingested(server, shape))
                stop, (told, telling) = multiprocessing.Event(), multiprocessing.Pipe(duplex=False)
                arguments = (server.telemetry_url, options.rate, first, stop, telling)
                sender = multiprocessing.Process(target=_send_errors, args=arguments)
                sender.start()
                time.sleep(1)
                beside.append(_ingested(server, shape))
                stop.set()
                if not told.poll(TIMEOUT_S):
                    raise RuntimeError("the sender of errors does not end")
                count, took_s = told.recv()
                sender.join()
                first += count
                rows.append(count / took_s)
            seen_ms = _seen_ms(server, f"payment {first} was refused", first)
            flushes = _data(server, "/api/status", envelope=False)["silver"]["flushes"]
        finally:
            server.kill()
    medians = [statistics.median(each) for each in (alone, beside)]
    print(f"samples/s alone {medians[0]:,.0f}, beside errors {medians[1]:,.0f}: ratio {medians[1] / medians[0]:.3f}")
    print(f"errors {statistics.median(rows):,.0f} rows/s of {options.rate:,} offered (target 20,000 and ratio 0.90)")
    print(f"one more is read at /api/v1/bronze within {seen_ms:.0f} ms; {flushes} flushes of rollups meanwhile")


def _ingested(server: Server, shape: Shape) -> float:
    """Samples per second of a load that ends now."""
    bodies = list(encoded_bodies(shape))
    count, per_round = shape.samples, shape.requests_per_round
    pid = server.process.pid
    sent = send(bodies, url=server.write_url, kind=shape.kind, samples=count, pid=pid, per_round=per_round)
    sent.accepted()
    return count / sent.wall_s


def _seen_ms(server: Server, text: str, number: int) -> float:
    """Milliseconds from sending one more error until Bronze has it."""
    bodies = error_bodies(number, 1)
    begun = time.perf_counter()
    pid = server.process.pid
    send(bodies, url=server.telemetry_url, kind="packets", samples=1, pid=pid, per_round=1).accepted()
    asked = urlencode({"q": text, "order": "newest-first", "limit": 1})
    _wait(lambda: _data(server, f"/api/v1/bronze?{asked}")["entries"])
    return (time.perf_counter() - begun) * 1000


# ---- silver ----


class _Hand:
    """A clock that is turned by hand; both of its faces."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def wall(self) -> int:
        return self.now_ms

    def steady(self) -> tuple[str, int]:
        return "bench", self.now_ms


class _Nobody:
    """Takes alerts, of which there are none."""

    def put(self, alerts: object, _now_ms: int) -> None:
        raise RuntimeError(f"alerts: {alerts}")


def _config(directory: Path, silver: SilverSettings) -> Config:
    storage = Storage(data_dir=str(directory), durability="os", seal_interval_ms=DAY_MS)
    acceptance = Acceptance(past_ms=DAY_MS)
    return Config(storage=storage, ingest=Ingest(body_bytes_max=4 * MIB), acceptance=acceptance, silver=silver)


def _body(part: list[tuple[str, list[tuple[str, str]]]], start_ms: int, values: np.ndarray) -> bytes:
    """A grid of one sample a minute. values: float64, shape (series, rounds)."""
    message = columns_of(part, start_ms, values.shape[1], MINUTE_MS)
    message.values.extend(values.ravel().tolist())
    return bytes(message.SerializeToString())


def rollups(options: argparse.Namespace, url: str) -> None:
    """Flushes of many keys."""
    now_ms = int(time.time() * 1000) // MINUTE_MS * MINUTE_MS + 30 * SECOND_MS
    silver = SilverSettings(
        metrics=(SilverMetric('{__name__=~"depth"}', ("host",)),),
        keys_max=options.keys,
        combinations_max=options.keys,
    )
    series = [
        ("depth", [("host", f"host-{number}"), ("job", f"service-{number % SERVICES}")])
        for number in range(options.keys)
    ]
    values = np.random.default_rng(1).uniform(0, 100, (len(series), 15 + 2 * options.turns))
    times = [now_ms - back * MINUTE_MS for back in reversed(range(15))]
    with tempfile.TemporaryDirectory(prefix="bench-tiers-") as folder:
        directory = Path(folder) / "data"
        config = _config(directory, silver)
        clock = _Hand(now_ms)
        engine = Engine(directory, config, clock.wall, clock.steady)
        database = open_database(DatabaseSettings(url=url), directory)
        try:
            _send(engine, series, now_ms - 14 * MINUTE_MS, values[:, :15])
            tasks = SilverTasks(config, engine, lambda: database, _Nobody(), clock.wall)
            took_s, rows = [_timed(tasks.flush)], [tasks.status()["rows"]]
            for _ in range(options.turns):
                clock.now_ms += MINUTE_MS
                for late_ms in (45 * SECOND_MS, 0):  # one of the minute before, which has been written
                    times.append(clock.now_ms - late_ms)
                    _send(engine, series, times[-1], values[:, len(times) - 1 : len(times)])
                took_s.append(_timed(tasks.flush))
                rows.append(tasks.status()["rows"] - sum(rows))
            _check_rollups(tasks, options, values, np.array(times))
            bucket_s = _timed(lambda: _one_bucket(tasks, options.keys))
        finally:
            engine.close()
            database.close()
    print(f"{options.keys:,} keys: first flush of {rows[0]:,} rows {_shown(took_s[:1])},")
    print(f"then {int(statistics.median(rows[1:])):,} rows each {_shown(took_s[1:])},")
    print(f"one bucket of all keys {_shown([bucket_s])} (target 1 s)")


def _send(engine: Engine, series: list[tuple[str, list[tuple[str, str]]]], start_ms: int, values: np.ndarray) -> None:
    for first in range(0, len(series), 2_000):
        part = slice(first, first + 2_000)
        engine.ingest(_body(series[part], start_ms, values[part]), Codec.NISSA_COLUMNS)


def _check_rollups(tasks: SilverTasks, options: argparse.Namespace, values: np.ndarray, times: np.ndarray) -> None:
    """Rows of one service are those of its samples, by minute and hour."""
    own = [number for number in range(options.keys) if number % SERVICES == 1]
    for granularity, length_ms in GRANULARITIES.items():
        found = tasks.silver().rollups(granularity, "service-1", "depth", 0, 2**62)
        expected = {
            (f"host-{number}", int(bucket) * length_ms): values[number, times // length_ms == bucket].sum()
            for number in own
            for bucket in np.unique(times // length_ms)
        }
        got = {(row["tags"]["host"], row["bucket_ms"]): row["sum"] for row in found}
        if got.keys() != expected.keys() or not all(abs(got[key] - expected[key]) < 1e-6 for key in expected):
            raise RuntimeError(f"{granularity}: {len(got)} rows of {len(expected)}, {tasks.status()}")


def _one_bucket(tasks: SilverTasks, keys: int) -> None:
    rows = [
        Rollup(RollupKey(f"service-{number % SERVICES}", "one", (("host", str(number)),)), MINUTE_MS, 1, 1.0, 1.0, 1.0)
        for number in range(keys)
    ]
    tasks.silver().replace("minute", MINUTE_MS, 2 * MINUTE_MS, rows)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall time, and of CPU time of this process; PostgreSQL is another one."""
    begun, before_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - before_s


def _shown(took_s: Iterable[tuple[float, float]]) -> str:
    """The medians."""
    wall_s, cpu_s = (statistics.median(each) for each in zip(*took_s, strict=True))
    return f"{wall_s:.2f} s ({cpu_s:.2f} cpu-s)"


# ---- gold ----


def gold(options: argparse.Namespace, url: str) -> None:
    """The nightly run."""
    end_ms = int(time.time() * 1000) // DAY_MS * DAY_MS
    begin_ms = end_ms - options.days * DAY_MS
    with tempfile.TemporaryDirectory(prefix="bench-tiers-") as folder:
        directory = Path(folder) / "data"
        config = _config(directory, SilverSettings())
        clock = _Hand(begin_ms)
        engine = Engine(directory, config, clock.wall, clock.steady)
        database = open_database(DatabaseSettings(url=url), directory)
        try:
            samples = _fill(engine, clock, begin_ms, end_ms)
            _define(database, options.definitions, begin_ms)
            limits = IncidentLimits(10, 10, 10)
            tasks = SlaTasks(config, engine, lambda: database, lambda: IncidentStore(database, limits), clock.wall)
            runs = []
            for now_ms in (end_ms - DAY_MS, end_ms):
                done = list[SlaRun]()
                took_s = _timed(partial(_run_due, tasks, now_ms, options.days, done))
                runs.append((done[0].written, took_s))
            _check_days(SlaStore(database, 1), options)
        finally:
            engine.close()
            database.close()
    print(f"{options.definitions:,} definitions over {samples / 1e6:.1f} M samples of {options.days} days:")
    (caught_up, first_s), (written, nightly_s) = runs
    print(f"catching up {caught_up:,} snapshots in {_shown([first_s])},")
    print(f"nightly run of {written:,} snapshots in {_shown([nightly_s])} (target 30 s)")


def _run_due(tasks: SlaTasks, now_ms: int, days: int, done: list[SlaRun]) -> None:
    run = tasks.engine().run_due(now_ms + MINUTE_MS, days * DAY_MS)
    if run.failures:
        raise RuntimeError(f"failures: {next(iter(run.failures.items()))}")
    done.append(run)


def _fill(engine: Engine, clock: _Hand, begin_ms: int, end_ms: int) -> int:
    """Hours of counters, a gauge and latencies of each service; returns the number of samples."""
    names = ("requests_total", "requests_failed", "up", "latency_ms")
    part = [(name, [("service", f"service-{number}")]) for name in names for number in range(SERVICES)]
    dice = np.random.default_rng(2)
    totals, rounds = np.zeros((2 * SERVICES, 1)), HOUR_MS // MINUTE_MS
    samples = 0
    for start_ms in range(begin_ms, end_ms, HOUR_MS):
        steps = np.vstack([dice.poisson(600, (SERVICES, rounds)), dice.poisson(0.5, (SERVICES, rounds))])
        counters = totals + np.cumsum(steps, axis=1)
        totals = counters[:, -1:]
        gauges = np.vstack([np.ones((SERVICES, rounds)), dice.lognormal(3, 1, (SERVICES, rounds))])
        clock.now_ms = start_ms + HOUR_MS
        body = _body(part, start_ms, np.vstack([counters, gauges]))
        samples += engine.ingest(body, Codec.NISSA_COLUMNS).samples
        engine.flush()
    return samples


def _define(database: Database, count: int, begin_ms: int) -> None:
    store = SlaStore(database, count)
    for number in range(count):
        service, turn = f"service-{number % SERVICES}", number // SERVICES % 10
        only = f'{{service="{service}"}}'
        ratio = {"bad": f"requests_failed{only}", "total": f"requests_total{only}"}
        kind: dict[str, Any] = {"metric_type": "UPTIME", "target": 99.9, **ratio}
        if turn in (6, 7):
            kind = {"metric_type": "ERROR_RATE", "target": 0.5, **ratio}
        elif turn == 8:
            kind = {"metric_type": "AVAILABILITY", "target": 99.0, "total": f"up{only}"}
        elif turn == 9:
            kind = {"metric_type": "LATENCY_P99", "target": 500.0, "latency": f"latency_ms{only}"}
        store.put(SlaDefinition(f"sla-{number}", service, active_from_ms=begin_ms, **kind), begin_ms)


def _check_days(store: SlaStore, options: argparse.Namespace) -> None:
    """Every day of the first definition has a value near that of the load: 0.5 of 600 requests fail."""
    days = store.snapshots(["sla-0"], "1970-01-01", "9999-12-31")
    values = [day["value"] for day in days]
    if len(days) != options.days or any(value is None or abs(value - 99.917) > 0.05 for value in values):
        raise RuntimeError(f"{len(days)} days of sla-0: {values[:5]}")


# ---- incidents ----


def incident(options: argparse.Namespace, url: str) -> None:
    """An incident from its alert to its page."""
    with tempfile.TemporaryDirectory(prefix="bench-tiers-") as folder:
        rules = Path(folder) / "rules.yml"
        rules.write_text("groups: []\n")
        settings = {"rules.files": json.dumps([str(rules)]), "database.url": url, "acceptance.past": "1d"}
        server = start_nissa(Path(folder) / "data", settings)
        try:
            _ingested(server, Shape(hosts=options.hosts, rounds=120, step_ms=MINUTE_MS))
            bodies = error_bodies(0, 20_000, "3")
            count, pid = len(bodies), server.process.pid
            send(bodies, url=server.telemetry_url, kind="packets", samples=20_000, pid=pid, per_round=count).accepted()
            rules.write_text(RULES)
            urllib.request.urlopen(urllib.request.Request(f"{server.api_url}/-/reload", b""), timeout=60).close()
            _wait(lambda: _data(server, "/api/v1/incidents")["incidents"])
            begun = time.perf_counter()
            room = _wait(lambda: _with_evidence(server))
            gathered_s = time.perf_counter() - begun
            before_s = usage_of(pid).cpu_s
            took_s = sorted(_timed(lambda: _data(server, "/api/v1/incidents/1"))[0] for _ in range(READS))
            cpu_ms = (usage_of(pid).cpu_s - before_s) / READS * 1000
        finally:
            server.kill()
    evidence = room["evidence"]
    kinds = {name: len(evidence[name]) for name in ("graphs", "errors", "alerts", "moves")}
    print(f"evidence of {kinds}, missing {evidence.get('missing')}, within {gathered_s * 1000:.0f} ms of the incident")
    shares = [took_s[int(share * READS)] * 1000 for share in (0.5, 0.99)]
    print(f"page p50 {shares[0]:.1f} ms, p99 {shares[1]:.1f} ms, {cpu_ms:.1f} cpu-ms (target 300 ms)")


def _with_evidence(server: Server) -> Any:
    room = _data(server, "/api/v1/incidents/1")
    return room if room["evidence"] else None


def _data(server: Server, path: str, *, envelope: bool = True) -> Any:
    with urllib.request.urlopen(f"{server.api_url}{path}", timeout=60) as reply:
        found = json.load(reply)
    return found["data"] if envelope else found


def _wait(ask: Callable[[], Any]) -> Any:
    """What ``ask`` gives once it is something."""
    until = time.perf_counter() + TIMEOUT_S
    while time.perf_counter() < until:
        with suppress(OSError):
            if found := ask():
                return found
        time.sleep(POLL_S)
    raise RuntimeError(f"nothing within {TIMEOUT_S:g} s")


ROWS = {"bronze": bronze, "rollups": rollups, "gold": gold, "incident": incident}


def main() -> None:
    """Read options, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], default=[])
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--rate", type=int, default=20_000, help="of bronze: errors a second")
    parser.add_argument("--hosts", type=int, default=1_000, help="of ten series each")
    parser.add_argument("--rounds", type=int, default=200, help="of bronze: samples of each series in one turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--definitions", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=30)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    for name in options.rows or ROWS:
        with database_url(options.database) as url:
            print(f"{name} ({options.database})", flush=True)
            ROWS[name](options, url)


if __name__ == "__main__":
    main()
