"""PromQL beside the peers: the same samples in Nissa, VictoriaMetrics and Prometheus, each query asked by turns.

    python -m bench.queries [--only REGEX] [--servers nissa victoria-metrics prometheus] [--turns 5]
    python -m bench.queries --many           the selection among 1,000,000 series, Nissa alone

The load: 5,000 counters ``http_requests_total`` and 5,000 gauges ``node_load``, six labels each, 240 samples 15 s
apart; range queries ask for that hour at step 15s. Printed: CPU milliseconds of the server process, all threads, per
query: the median of the turns, and of the first one in brackets, which for Nissa finds nothing decoded. VictoriaMetrics
is asked with nocache=1, so that it computes. Panels of a few series print wall milliseconds too, at the median.

Each last answer is looked at: it must have as many series as the peers', and the numbers of Prometheus. Steps lie
between samples, as the two versions of Prometheus differ about samples on the border of a window.
"""

import argparse
import http.client
import json
import math
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import cramjam
import numpy as np

from bench.load import field as wire
from bench.load import label, varint
from bench.send import send
from bench.servers import Server, installed, running
from bench.usage import usage_of

HOSTS = 500  # of ten counters and ten gauges each
ROUNDS = 240
STEP_MS = 15_000
OFFSET_MS = 7_000  # of steps behind samples
ROUNDS_PER_REQUEST = 10
SERIES_PER_REQUEST = 1_000
TURN_MS = 1_000.0  # a query is asked so often each turn
REPEATS_MAX = 40
DIFFERENCE_MAX = 1e-9
SETTINGS = {"storage.seal_samples": "1000000", "storage.seal_interval": "3000ms"}
MANY_JOBS, MANY_HOSTS = 1_000, 100  # of ten codes each

COUNTER = "http_requests_total"
NOT_OK = f'{COUNTER}{{code!="200"}}'


@dataclass(frozen=True)
class Query:
    """One row of the table. instant: asked at the end of the hour alone. is_panel: of a few series."""

    text: str
    instant: bool = False
    is_panel: bool = False

    @property
    def title(self) -> str:
        """As it stands in the table."""
        return f"{self.text} (instant)" if self.instant else self.text


QUERIES = [
    Query(f"sum by (job) (rate({COUNTER}[5m]))"),
    Query(f"sum by (handler,code) (rate({COUNTER}[1m]))"),
    Query("avg_over_time(node_load[5m])"),
    Query(f"topk(5, rate({COUNTER}[5m]))"),
    Query(f"sum by (job) (rate({NOT_OK}[5m])) / sum by (job) (rate({COUNTER}[5m]))"),
    Query("max by (region) (node_load)"),
    Query("quantile_over_time(0.99, node_load[10m])"),
    Query(f"sum by (job) (rate({COUNTER}[5m]))", instant=True),
    Query(f"topk(5, rate({COUNTER}[5m]))", instant=True),
    Query(f"count by (job) ({COUNTER})", instant=True),
    Query('node_load{instance="host-7"}', is_panel=True),
    Query('rate(http_requests_total{instance="host-7",handler="/h1",code="200"}[5m])', is_panel=True),
    Query('sum(rate(http_requests_total{instance="host-7"}[5m]))', is_panel=True),
    Query('node_load{instance="host-7",cpu="3"}', instant=True, is_panel=True),
]


@dataclass
class Cost:
    """Times of one server for one query. cpu_ms, wall_ms: of each execution, in order."""

    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)
    answer_bytes: int = 0

    @property
    def usual_ms(self) -> float:
        """CPU of an ask, the first turn left out."""
        return statistics.median(self.cpu_ms[1:] or self.cpu_ms)


class Client:
    """One connection to a server's query API."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connect()

    def connect(self) -> None:
        """A new connection: while others have their turn, a server may end one that is idle."""
        self._link = http.client.HTTPConnection(urlsplit(self.server.api_url).netloc, timeout=120)
        self._link.connect()

    def ask(self, query: Query, first_ms: int, last_ms: int, step_ms: int = STEP_MS) -> bytes:
        """The body of an answer."""
        asked = {"query": query.text}
        if query.instant:
            asked["time"] = f"{last_ms / 1000:.3f}"
        else:
            asked |= {"start": f"{first_ms / 1000:.3f}", "end": f"{last_ms / 1000:.3f}", "step": f"{step_ms // 1000}s"}
        if self.server.name == "victoria-metrics":
            asked["nocache"] = "1"
        path = "/api/v1/query" if query.instant else "/api/v1/query_range"
        self._link.request("GET", f"{path}?{urlencode(asked)}")
        answer = self._link.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self.server.name}: {answer.status} {body[:300]!r}")
        return body


def every_series() -> list[list[tuple[str, str]]]:
    """Labels of all series, sorted: host by host, its counters and then its gauges."""
    found = []
    for host in range(HOSTS):
        about = {"instance": f"host-{host}", "job": f"job-{host % 10}", "region": f"region-{host % 4}"}
        for number in range(10):
            code = ("200", "404", "500", "503")[number % 4 if number > 4 else 0]
            own = {"__name__": COUNTER, "handler": f"/h{number}", "code": code, "method": ("GET", "POST")[number % 2]}
            found.append(sorted((about | own).items()))
        for number in range(10):
            own = {"__name__": "node_load", "cpu": str(number), "mode": "user", "rack": str(host % 40)}
            found.append(sorted((about | own).items()))
    return found


def walks(series: int, rounds: int) -> np.ndarray:
    """Values by series and round: of every twenty series ten counters, then ten gauges."""
    chance = np.random.default_rng(7)
    busy = chance.lognormal(5.0, 1.5, (series, 1))
    counters = chance.poisson(busy, (series, rounds)).cumsum(axis=1) + 1e6  # far from zero: see ``docs/promql.md``
    gauges = np.round(np.abs(chance.normal(0.0, 0.5, (series, rounds)).cumsum(axis=1) + 50.0), 2)
    is_gauge = (np.arange(series) % 20 >= 10)[:, None]
    return np.where(is_gauge, gauges, counters)


def bodies_of(labels: list[list[tuple[str, str]]], values: np.ndarray, times_ms: list[int]) -> Iterator[bytes]:
    """Remote-write 1.0 bodies, in order of time."""
    heads = [b"".join(label(name, value) for name, value in each) for each in labels]
    for first in range(0, len(times_ms), ROUNDS_PER_REQUEST):
        moments = [b"\x10" + varint(at_ms) for at_ms in times_ms[first : first + ROUNDS_PER_REQUEST]]
        for start in range(0, len(heads), SERIES_PER_REQUEST):
            out = bytearray()
            for row in range(start, min(start + SERIES_PER_REQUEST, len(heads))):
                numbers = values[row, first : first + ROUNDS_PER_REQUEST].astype("<f8")
                samples = b"".join(
                    wire(2, b"\x09" + number.tobytes() + moment)
                    for number, moment in zip(numbers, moments, strict=True)
                )
                out += wire(1, heads[row] + samples)
            yield bytes(cramjam.snappy.compress_raw(bytes(out)))


def fill(server: Server, bodies: list[bytes], samples: int, per_round: int) -> None:
    """Send everything, and wait until it is at rest."""
    sent = send(
        bodies,
        url=server.write_url,
        kind="remote_write_1",
        samples=samples,
        pid=server.process.pid,
        per_round=per_round,
    )
    sent.accepted()
    time.sleep(4.0)
    server.completed()


def series_in(body: bytes) -> dict[str, list[tuple[float, float]]]:
    """Points by labels."""
    found = {}
    for series in json.loads(body)["data"]["result"]:
        points = series.get("values") or [series["value"]]
        key = json.dumps(series["metric"], sort_keys=True)
        found[key] = [(float(at_s), float(value)) for at_s, value in points]
    return found


def check(query: Query, own: bytes, other: bytes, name: str) -> None:
    """Raise where Nissa's answer is not the peer's; of VictoriaMetrics, which extrapolates otherwise, the series."""
    mine, theirs = series_in(own), series_in(other)
    if query.text.startswith("topk") and name == "victoria-metrics":
        return
    if len(mine) != len(theirs):
        raise RuntimeError(f"{query.title}: {len(mine)} series, {name} has {len(theirs)}")
    if name == "victoria-metrics":
        return
    for key, points in mine.items():
        same = len(points) == len(theirs[key]) and all(
            left[0] == right[0] and math.isclose(left[1], right[1], rel_tol=DIFFERENCE_MAX, abs_tol=1e-12)
            for left, right in zip(points, theirs[key], strict=True)
        )
        if not same:
            raise RuntimeError(f"{query.title}: {key} differs from {name}")


def measure(clients: list[Client], query: Query, first_ms: int, last_ms: int, turns: int) -> dict[str, Cost]:
    """Ask all servers by turns."""
    costs = {client.server.name: Cost() for client in clients}
    bodies: dict[str, bytes] = {}
    repeats = 1
    for turn in range(turns + 1):
        for client in clients:
            cost, name = costs[client.server.name], client.server.name
            client.connect()
            before_s, begun = usage_of(client.server.process.pid).cpu_s, time.perf_counter()
            for _ in range(repeats):
                bodies[name] = client.ask(query, first_ms, last_ms)
            cost.wall_ms.append((time.perf_counter() - begun) / repeats * 1000)
            cost.cpu_ms.append((usage_of(client.server.process.pid).cpu_s - before_s) / repeats * 1000)
            cost.answer_bytes = len(bodies[name])
        if turn == 0:
            slowest_ms = max(cost.wall_ms[0] for cost in costs.values())
            repeats = min(max(int(TURN_MS / slowest_ms), 1), REPEATS_MAX)
    for name, body in bodies.items():
        if name != "nissa" and "nissa" in bodies:
            check(query, bodies["nissa"], body, name)
    return costs


def table(rows: dict[str, dict[str, Cost]], names: list[str]) -> str:
    """The table as Markdown, and the sums."""
    panels = {query.title: query.is_panel for query in QUERIES}
    lines = ["| query | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for title, costs in rows.items():
        own = costs.get("nissa")
        cells = []
        for name in names:
            cost = costs[name]
            if name == "nissa":
                panel = f", {statistics.median(cost.wall_ms[1:]):.1f} wall" if panels[title] else ""
                cells.append(f"{cost.usual_ms:.1f} ({cost.cpu_ms[0]:.0f}){panel}")
            else:
                times = f", {cost.usual_ms / own.usual_ms:.1f} x" if own and own.usual_ms else ""
                cells.append(f"{cost.usual_ms:.1f}{times}")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    sums = {name: sum(costs[name].usual_ms for costs in rows.values()) for name in names}
    own_ms = sums.get("nissa", float("nan"))
    lines.append("| all | " + " | ".join(f"{sums[name]:.0f}, {sums[name] / own_ms:.1f} x" for name in names) + " |")
    return "\n".join(lines)


def peers(names: list[str], only: str, turns: int) -> None:
    """The table of the load of an hour."""
    last_ms = int(time.time() * 1000) // STEP_MS * STEP_MS
    times_ms = [last_ms - (ROUNDS - 1 - number) * STEP_MS for number in range(ROUNDS)]
    labels = every_series()
    values = walks(len(labels), ROUNDS)
    bodies = list(bodies_of(labels, values, times_ms))
    with ExitStack() as stack:
        clients = []
        for name in names:
            how = {"settings": SETTINGS} if name == "nissa" else {}
            server = stack.enter_context(running(name, **how))
            fill(server, bodies, values.size, -(-len(labels) // SERIES_PER_REQUEST))
            clients.append(Client(server))
        rows = {}
        for query in QUERIES:
            if re.search(only, query.title):
                rows[query.title] = measure(clients, query, times_ms[0] + OFFSET_MS, times_ms[-1] + OFFSET_MS, turns)
                print(table({query.title: rows[query.title]}, names).splitlines()[2], flush=True)
        print("\nCPU milliseconds per query: usual (the first)\n\n" + table(rows, names))


def many() -> None:
    """A selection among a million series, one sample each."""
    now_ms = int(time.time() * 1000)
    labels = [
        sorted({"__name__": "requests", "job": f"job-{job}", "instance": f"host-{host}", "code": str(code)}.items())
        for job in range(MANY_JOBS)
        for host in range(MANY_HOSTS)
        for code in (200, 201, 204, 301, 302, 400, 404, 429, 500, 503)
    ]
    bodies = list(bodies_of(labels, np.ones((len(labels), 1)), [now_ms]))
    query = Query('requests{job="job-7",code=~"5.."}', instant=True)
    with running("nissa", settings=SETTINGS | {"series.active_max": "2000000"}) as server:
        fill(server, bodies, len(labels), len(bodies))
        client = Client(server)
        took_ms = []
        for _ in range(21):
            begun = time.perf_counter()
            found = series_in(client.ask(query, now_ms, now_ms + 1_000))
            took_ms.append((time.perf_counter() - begun) * 1000)
        if len(found) != 2 * MANY_HOSTS:
            raise RuntimeError(f"{len(found)} series")
    first_ms, usual_ms = took_ms[0], statistics.median(took_ms[1:])
    print(f"{query.text} among {len(labels):,} series: {usual_ms:.1f} ms wall, the first {first_ms:.1f}")


def main() -> None:
    """Ask, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--servers", nargs="+", choices=installed(), default=installed())
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--many", action="store_true")
    arguments = parser.parse_args()
    if arguments.many:
        many()
        return
    peers(arguments.servers, arguments.only, arguments.turns)


if __name__ == "__main__":
    main()
