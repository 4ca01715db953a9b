"""A pair of Nissas that sends to a store with a tracker of HA pairs: Cortex, from which Mimir has it.

Both have the same counters, scraped at different moments, so that a sample of the wrong replica would stand between
those of the right one. Which of them the tracker takes follows from when samples reach it, by its own clock.
"""

import contextlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cramjam
import pytest
from journeys.go_programs import Server, cortex
from journeys.rig import Daemon, connect, post, running
from journeys.test_sinks import wait_for
from prometheus_client.parser import text_string_to_metric_families

from nissa._proto import remote_write_v1_pb2 as pb

FAILOVER_S = 20
OFFSETS_MS = {"a": 0, "b": 400}
RATES = {"read": 2, "write": 3}  # per second
ALL = "calls_total[2h]"
OWN = "own_total"
Rows = dict[str, dict[int, float]]  # method -> time in ms -> value


class Pair:
    """Counters that each of a pair scrapes once a second, and what they had."""

    def __init__(self) -> None:
        self.base_s = int(time.time()) // 60 * 60 - 2_400
        self.next_s = self.base_s
        self.sent: dict[str, Rows] = {name: {method: {} for method in RATES} for name in OFFSETS_MS}

    def scrape(self, daemons: dict[str, Daemon], rounds: int = 1) -> None:
        """Send ``rounds`` samples of every counter to each of the daemons."""
        with contextlib.ExitStack() as closing:
            links = {
                name: closing.enter_context(contextlib.closing(connect(one.ingest_url)))
                for name, one in daemons.items()
            }
            for _ in range(rounds):
                for name, link in links.items():
                    assert post(link, self._body(name)) // 100 == 2
                self.next_s += 1

    def _body(self, name: str) -> bytes:
        request, at_ms = pb.WriteRequest(), self.next_s * 1000 + OFFSETS_MS[name]
        for method, rate in RATES.items():
            value = 1_000 + rate * (at_ms / 1000 - self.base_s)
            one = request.timeseries.add()
            for label, text in (("__name__", "calls_total"), ("method", method)):
                one.labels.add(name=label, value=text)
            one.samples.add(value=value, timestamp=at_ms)
            self.sent[name][method][at_ms] = value
        own = request.timeseries.add()  # as Nissa's own metrics: the same series in both
        for label, text in (("__name__", OWN), ("job", "nissa")):
            own.labels.add(name=label, value=text)
        own.samples.add(value=1, timestamp=at_ms)
        return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def configured(directory: Path, name: str, store: str) -> tuple[str, str]:
    """Arguments of one of the pair."""
    sink = {"type": "remote_write", "url": f"{store}/api/v1/push", "linger": "50ms"}
    labels = {"cluster": "lab", "__replica__": name}
    dropping = [{"source_labels": ["job"], "regex": "nissa", "action": "drop"}]
    sinks = {
        "store": {**sink, "external_labels": labels, "write_relabel_configs": dropping},
        "own": {**sink, "external_labels": {"instance": name}, "matchers": ['{job="nissa"}']},
    }
    path = directory / f"{name}.yaml"
    path.write_text(json.dumps({"sinks": sinks}))
    return "--config", str(path)


def sink_of(daemon: Daemon) -> dict[str, Any]:
    """Accounts of the sink."""
    found: dict[str, Any] = daemon.get("/api/v1/accounting")["data"]["sinks"]["store"]
    return found


def delivered(daemon: Daemon, rows: Rows) -> bool:
    """True once the sink has had all of these answered."""
    return int(sink_of(daemon)["delivered"]) == sum(map(len, rows.values()))


def stored(store: Server) -> Rows:
    """All that the store has: series of the cluster, without a replica."""
    found: Rows = {method: {} for method in RATES}
    for one in store.query(ALL):
        method = one["metric"].pop("method")
        assert one["metric"] == {"__name__": "calls_total", "cluster": "lab"}
        found[method] = {round(at_s * 1000): float(value) for at_s, value in one["values"]}
        assert len(found[method]) == len(one["values"])
    return found


def turned_away(store: Server) -> int:
    """Samples that the tracker did not take, as they were of the other replica."""
    text = (store.get("/metrics") or b"").decode()
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return int(sum(one.value for one in samples if one.name == "cortex_distributor_deduped_samples_total"))


def own_rows(store: Server) -> dict[str, int]:
    """Instance -> number of its samples: those of both are there, as they have no replica."""
    return {one["metric"]["instance"]: int(one["value"][1]) for one in store.query(f"count_over_time({OWN}[2h])")}


def check_queries(store: Server, daemon: Daemon, at_s: int) -> None:
    """The store answers what this Nissa answers."""
    for query in ("rate(calls_total[20s])", "count_over_time(calls_total[20s])", "calls_total", "sum(calls_total)"):
        answer = daemon.get("/api/v1/query?" + urlencode({"query": query, "time": at_s}))["data"]["result"]
        expected, found = (
            {one["metric"].get("method"): float(one["value"][1]) for one in result}
            for result in (answer, store.query(query, time=str(at_s)))
        )
        assert expected
        assert found == pytest.approx(expected, rel=1e-12), query


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["1.0", "2.0"])
def test_one_of_a_pair_is_taken(tmp_path: Path, protocol: str) -> None:
    """The samples of one Nissa are in the store, after its kill those of the other: none twice, none in between."""
    enabled = f"-distributor.remote-writev2-enabled={str(protocol == '2.0').lower()}"
    pair = Pair()
    with cortex(tmp_path / "store", FAILOVER_S, enabled) as store, contextlib.ExitStack() as closing:
        arguments = {name: configured(tmp_path, name, store.url) for name in "ab"}
        a, b = (closing.enter_context(running(tmp_path / name, *arguments[name])) for name in "ab")
        pair.scrape({"a": a})
        wait_for(lambda: stored(store) == pair.sent["a"])  # it is elected
        pair.scrape({"a": a, "b": b}, 60)
        wait_for(lambda: delivered(a, pair.sent["a"]) and delivered(b, pair.sent["b"]))
        assert stored(store) == pair.sent["a"]
        assert turned_away(store) == sum(map(len, pair.sent["b"].values()))
        check_queries(store, a, pair.base_s + 50)
        wait_for(lambda: own_rows(store) == {"a": 61, "b": 60})
        delivered_s = pair.next_s
        pair.scrape({"a": a, "b": b}, 5)  # of these the store has what was on its way
        a.kill()
        killed_s = pair.next_s
        fail_over(store, pair, b)
        pair.scrape({"b": b}, 60)
        a = closing.enter_context(running(tmp_path / "a", *arguments["a"]))  # it sends what it had, and is not taken
        pair.scrape({"b": b, "a": a}, 10)
        wait_for(lambda: delivered(a, pair.sent["a"]) and delivered(b, pair.sent["b"]))
        check_rows(stored(store), pair, delivered_s * 1000, killed_s * 1000)
        check_queries(store, b, pair.next_s - 5)
        assert a.get("/api/status")["sinks"]["store"]["protocol"] == protocol
        assert a.stop() == b.stop() == 0


def fail_over(store: Server, pair: Pair, b: Daemon) -> None:
    """Scrape until the store has samples of the replica that is left, of every series."""

    def is_taken() -> bool:
        pair.scrape({"b": b})
        time.sleep(0.3)
        return all(rows.keys() & pair.sent["b"][method].keys() for method, rows in stored(store).items())

    wait_for(is_taken)


def check_rows(found: Rows, pair: Pair, delivered_ms: int, killed_ms: int) -> None:
    """Everything that a had delivered is there, then everything of b from its first sample on, and nothing else."""
    for method, rows in found.items():
        of_a, of_b = pair.sent["a"][method], pair.sent["b"][method]
        first_ms = min(rows.keys() & of_b.keys())
        assert first_ms >= killed_ms
        owed = {at_ms: value for at_ms, value in of_a.items() if at_ms < delivered_ms}
        owed |= {at_ms: value for at_ms, value in of_b.items() if at_ms >= first_ms}
        on_the_way = {at_ms: value for at_ms, value in of_a.items() if delivered_ms <= at_ms < killed_ms}
        assert owed.items() <= rows.items() <= (owed | on_the_way).items()
