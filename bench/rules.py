"""Rules beside Prometheus: the same rules over the same samples, at the same time; and the time to read many rules.

    python -m bench.rules [--rules 1000] [--series 10] [--interval 10] [--rounds 6]
    python -m bench.rules --load 50000       reading a file, Nissa alone
    python -m bench.rules --acks             acknowledging samples with and without rules, Nissa alone

Each rule is ``sum by (job) (rate(METRIC[5m])) > y`` with a metric of its own, of --series counters. With --mixed no two
of a group have the same shape, so that Nissa evaluates each by itself. Samples of the last ten minutes are sent first,
then new ones every 15 s while both servers are measured: without rules, and with them. The difference is what rules
cost. Printed: CPU milliseconds of a round, all threads, its share of a core where a round comes every 30 s, and the
wall time of the longest group of Nissa.

One rule fires: both servers must name the same alerts, and no rule may have failed.
"""

import argparse
import json
import multiprocessing
import resource
import signal
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import numpy as np

from bench.queries import bodies_of
from bench.send import Sent, send
from bench.servers import Server, installed, start_nissa, start_prometheus
from bench.usage import usage_of

STEP_MS = 15_000
PAST_ROUNDS = 40
GROUP_RULES = 100
USUAL_INTERVAL_S = 30
NEVER = 10**9  # no rate is over it
ACK_SAMPLES = 100
ACK_RATE = 10_000  # samples per second


def every_series(rules: int, series: int) -> list[list[tuple[str, str]]]:
    """Labels of the counters of each rule."""
    return [
        sorted(
            {
                "__name__": f"bench_{rule}_total",
                "job": f"job-{number % 5}",
                "instance": f"host-{number}",
                "code": "200",
                "region": "eu",
            }.items()
        )
        for rule in range(rules)
        for number in range(series)
    ]


def expression(rule: int, mixed: bool) -> str:
    """The left side of a rule. mixed: with a range that no other rule of its group has."""
    range_s = 300 + (rule % GROUP_RULES if mixed else 0)
    return f"sum by (job) (rate(bench_{rule}_total[{range_s}s]))"


def rule_file(rules: int, interval_s: float, mixed: bool = False) -> str:
    """Alerting rules in groups. The first of them fires, the others do not."""
    lines = ["groups:"]
    for rule in range(rules):
        if rule % GROUP_RULES == 0:
            lines += [f"- name: group-{rule // GROUP_RULES}", f"  interval: {interval_s:g}s", "  rules:"]
        over = NEVER if rule else -1
        lines += [f"  - alert: Rule{rule}", f"    expr: {expression(rule, mixed)} > {over}"]
        lines += ["    labels: {severity: warning}", "    annotations: {summary: '{{ $labels.job }}: {{ $value }}'}"]
    return "\n".join(lines) + "\n"


class Feed:
    """Counters that go on: sends the past, then a round every 15 s until it is stopped."""

    def __init__(self, labels: list[list[tuple[str, str]]], servers: list[Server]) -> None:
        self._labels, self._servers = labels, servers
        self._values = np.full((len(labels), 1), 1e6)
        self._next_ms = int(time.time() * 1000) // STEP_MS * STEP_MS - (PAST_ROUNDS - 1) * STEP_MS
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        for _ in range(PAST_ROUNDS):
            self._send_round()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(max(self._next_ms / 1000 - time.time(), 0)):
            self._send_round()

    def _send_round(self) -> None:
        self._values += np.arange(len(self._labels))[:, None] % 7 + 1
        bodies = list(bodies_of(self._labels, self._values, [self._next_ms]))
        for server in self._servers:
            sent = send(
                bodies,
                url=server.write_url,
                kind="remote_write_1",
                samples=len(self._labels),
                pid=server.process.pid,
                per_round=len(bodies),
            )
            sent.accepted()
        self._next_ms += STEP_MS


def ask(server: Server, path: str) -> dict:
    """The data of an answer."""
    with urllib.request.urlopen(f"{server.api_url}{path}", timeout=60) as reply:
        return dict(json.load(reply)["data"])


def firing(server: Server) -> list[str]:
    """Alerts that fire. Raises where a rule has failed."""
    for group in ask(server, "/api/v1/rules")["groups"]:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                raise RuntimeError(f"{server.name}: {rule['name']} is {rule['health']}: {rule.get('lastError')}")
    return sorted(json.dumps(alert["labels"], sort_keys=True) for alert in ask(server, "/api/v1/alerts")["alerts"])


@contextmanager
def both(rules: Path, names: list[str]) -> Iterator[list[Server]]:
    """The servers, reading that file of rules."""
    with tempfile.TemporaryDirectory(prefix="bench-rules-") as folder:
        servers = [start_nissa(Path(folder) / "nissa", {"rules.files": json.dumps([str(rules)])})]
        try:
            if "prometheus" in names:
                servers.append(start_prometheus(Path(folder) / "prometheus"))
                (Path(folder) / "prometheus.yml").write_text(f"rule_files: [{json.dumps(str(rules))}]\n")
            yield servers
        finally:
            for server in servers:
                server.kill()


def used_by(servers: list[Server], seconds: float) -> list[float]:
    """CPU seconds of each within that time."""
    before = [usage_of(server.process.pid).cpu_s for server in servers]
    time.sleep(seconds)
    return [usage_of(server.process.pid).cpu_s - start for server, start in zip(servers, before, strict=True)]


def rounds(options: argparse.Namespace) -> None:
    """What a round costs each server."""
    labels, seconds = every_series(options.rules, options.series), options.interval * options.rounds
    with tempfile.TemporaryDirectory(prefix="bench-rules-") as folder:
        rules = Path(folder) / "rules.yml"
        rules.write_text("groups: []\n")
        with both(rules, installed()) as servers, Feed(labels, servers):
            time.sleep(5)
            idle_s = used_by(servers, seconds)
            rules.write_text(rule_file(options.rules, options.interval, options.mixed))
            for server in servers:
                server.process.send_signal(signal.SIGHUP)
            time.sleep(2 * options.interval)
            busy_s = used_by(servers, seconds)
            alerts = [firing(server) for server in servers]
            if not alerts[0] or any(each != alerts[0] for each in alerts):
                raise RuntimeError(f"other alerts: {[len(each) for each in alerts]}")
            groups = ask(servers[0], "/api/v1/rules")["groups"]
    longest_ms = 1000 * max(group["evaluationTime"] for group in groups)
    print(f"{options.rules:,} rules over {len(labels):,} series, {options.rounds} rounds of {options.interval:g} s:")
    costs = [(busy - idle) / options.rounds for busy, idle in zip(busy_s, idle_s, strict=True)]
    for server, cost_s in zip(servers, costs, strict=True):
        share = cost_s / USUAL_INTERVAL_S
        print(
            f"{server.name:12} {cost_s * 1000:7.0f} cpu-ms a round  {share:6.2%} of a core every {USUAL_INTERVAL_S} s"
            f"  {cost_s / costs[0]:5.2f}x Nissa's"
        )
    print(f"longest group of Nissa: {longest_ms:.0f} ms wall")


def acks(options: argparse.Namespace) -> None:
    """Latency of acknowledgements with and without rules, by turns."""
    labels = every_series(options.rules, options.series)
    names = [[("__name__", "acks"), ("number", str(number))] for number in range(ACK_SAMPLES)]
    count = int(options.interval * options.rounds * ACK_RATE / ACK_SAMPLES)

    def sent(server: Server) -> Sent:
        now_ms = int(time.time() * 1000)
        times_ms = [now_ms - count + number for number in range(count)]
        bodies = [body for at_ms in times_ms for body in bodies_of(names, np.ones((ACK_SAMPLES, 1)), [at_ms])]
        result = send(
            bodies,
            url=server.write_url,
            kind="remote_write_1",
            samples=count * ACK_SAMPLES,
            pid=server.process.pid,
            per_round=1,
            rate=ACK_RATE,
        )
        result.accepted()
        return result

    with tempfile.TemporaryDirectory(prefix="bench-rules-") as folder:
        rules = Path(folder) / "rules.yml"
        rules.write_text("groups: []\n")
        with both(rules, []) as (server,), Feed(labels, [server]):
            for turn in ("without", "with", "without", "with"):
                rules.write_text(rule_file(options.rules, options.interval) if turn == "with" else "groups: []\n")
                server.process.send_signal(signal.SIGHUP)
                time.sleep(2 * options.interval)
                found = sent(server)
                p50, p99 = found.latency_ms(0.5), found.latency_ms(0.99)
                print(f"{turn:8} {options.rules:,} rules: ack p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)


def read_rules(rules: int, answer: Connection) -> None:
    """In a process of its own: read a file of so many rules."""
    from nissa.promql.parse import check_expression
    from nissa.rules.rule_file import parse_rule_file

    text = rule_file(rules, USUAL_INTERVAL_S).encode()
    parse_rule_file(rule_file(1, 1).encode(), "small", check_expression)
    before_s, before_bytes = time.process_time(), usage_of(multiprocessing.current_process().pid or 0).rss_bytes
    groups = parse_rule_file(text, "large", check_expression)
    took_s = time.process_time() - before_s
    grown_bytes = usage_of(multiprocessing.current_process().pid or 0).rss_bytes - before_bytes
    most_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answer.send((sum(len(group.rules) for group in groups), took_s, grown_bytes, most_bytes))


def load(rules: int) -> None:
    """Seconds and memory of reading many rules."""
    process_of: Callable = multiprocessing.get_context("spawn").Process
    here, there = multiprocessing.Pipe()
    process = process_of(target=read_rules, args=(rules, there))
    process.start()
    count, took_s, grown_bytes, most_bytes = here.recv()
    process.join()
    print(
        f"{count:,} rules read in {took_s:.2f} cpu-s; {grown_bytes / 1e6:.0f} MB more, {most_bytes / 1e6:.0f} MB in all"
    )


def main() -> None:
    """Measure, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--series", type=int, default=10, help="of each rule")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between rounds")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--load", type=int, default=0, metavar="RULES")
    parser.add_argument("--acks", action="store_true")
    options = parser.parse_args()
    if options.load:
        load(options.load)
    elif options.acks:
        acks(options)
    else:
        rounds(options)


if __name__ == "__main__":
    main()
