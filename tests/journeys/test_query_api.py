"""Nissa asked as Prometheus is asked: by Grafana, promtool, curl and another Prometheus, beside Debian's Prometheus.

test ──remote write──► Nissa ◄──remote read── Prometheus that has nothing itself
   └───remote write──► Prometheus             │
        same questions to all three ──────────┴──► same answers
"""

import contextlib
import json
import math
import random
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import cramjam
import pytest
from journeys.rig import Daemon, running

from nissa._proto import remote_write_v1_pb2 as pb
from nissa._proto.remote_read_pb2 import LabelMatcher, Query, ReadRequest
from nissa.model.columns import STALE_BITS
from oracle.ports import free_port
from oracle.xor_twin import read_chunk, read_frames

STEP_MS = 15_000
STEPS = 160
ASIDE_S = 2  # from the times of samples
WARM_S = 360  # longer than any range
SEED = 20_241_121
DEADLINE_S = 60
CONFIG = "global: {scrape_interval: 1h}\n"
READING = "remote_read: [{{url: '{api}/api/v1/read', read_recent: true}}]\n"
SELECTORS = ['{job="web"}', "load", 'requests_total{code=~"5.."}', '{__name__=~"latency.*",le!="+Inf"}']
EXPRESSIONS = [
    "1+1",
    "1e21",
    "1/3 * 1e-7",
    "-time()",
    '"a string"',
    "load",
    "odd",
    "load{instance='host-1'} offset 1m",
    "load[1m]",
    "odd[2m]",
    "sum by (job) (rate(requests_total[1m]))",
    "sum without (instance) (increase(requests_total[5m]))",
    "irate(requests_total{code='200'}[1m])",
    "avg by (instance) (load)",
    "topk(3, load)",
    "quantile(0.9, load)",
    "count by (code) (requests_total)",
    "count_values('v', round(load))",
    "stddev(load) / stdvar(load)",
    "histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket[2m])))",
    "rate(latency_seconds_sum[1m]) / rate(latency_seconds_count[1m])",
    "load > 50",
    "load > bool 50",
    "requests_total and on (instance) load > 20",
    "load or requests_total{code='500'}",
    "requests_total unless on (instance) load{instance='host-2'}",
    "load * on (instance) group_left (code) requests_total{code='200'}",
    "avg_over_time(load[5m])",
    "max_over_time(rate(requests_total[1m])[5m:30s])",
    "quantile_over_time(0.5, load[5m])",
    "deriv(load[5m])",
    "predict_linear(load[5m], 600)",
    "changes(load[5m]) + resets(requests_total[5m])",
    "absent(nothing)",
    "absent_over_time(load{instance='host-9'}[1m])",
    "label_replace(load, 'host', '$1', 'instance', 'host-(.*)')",
    "label_join(load, 'both', '-', 'job', 'instance')",
    "sort_desc(load)",
    "clamp(load, 20, 30)",
    "load % 7 ^ 2",
    "timestamp(load)",
    "scalar(sum(load)) + vector(1)",
    "hour(load) + day_of_week()",
    "sum(requests_total) @ end()",
    "last_over_time(leaving[10m])",
    "leaving",
    "odd == odd",
    "max(odd) - min(odd)",
    "sgn(load - 50) + ln(abs(load)) + sqrt(load)",
]


class Peer:
    """Something that answers Prometheus' API at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, *, post: bool = True, **parameters: Any) -> dict[str, Any]:
        """The envelope of an answer, also of an error."""
        form = urlencode(parameters, doseq=True)
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", form.encode() if post else None)
        if not post:
            request.full_url += f"?{form}"
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        return {"code": refused.value.code, **json.load(refused.value)}


class Prometheus(Peer):
    """One process of Debian's Prometheus."""

    def __init__(self, directory: Path, config: str) -> None:
        port = free_port()
        super().__init__(f"http://127.0.0.1:{port}")
        directory.mkdir()
        (directory / "prometheus.yml").write_text(config)
        command = ["prometheus", f"--config.file={directory / 'prometheus.yml'}"]
        command += [f"--storage.tsdb.path={directory / 'tsdb'}", "--web.enable-remote-write-receiver"]
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log
            )
        self._wait_ready()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                return
            time.sleep(0.1)
        raise RuntimeError("Prometheus is not ready")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def series(rng: random.Random) -> Iterator[tuple[dict[str, str], list[float | None]]]:
    """Counters with resets, gauges with gaps, a histogram, odd numbers, and series that end."""
    for instance in ("host-1", "host-2", "host-3"):
        common = {"job": "web", "instance": instance}
        for code in ("200", "404", "500"):
            count, counts = 0.0, []
            for _ in range(STEPS):
                count = 0.0 if rng.random() < 0.02 else count + rng.randrange(20)
                counts.append(count)
            yield {"__name__": "requests_total", "code": code, **common}, counts
        yield (
            {"__name__": "load", **common},
            [rng.uniform(0, 100) if rng.random() > 0.1 else None for _ in range(STEPS)],
        )
        yield {"__name__": "leaving", **common}, [1.0] * (STEPS // 2) + [math.nan]
        total = 0.0
        buckets = {"0.1": 0.0, "0.5": 0.0, "1": 0.0, "+Inf": 0.0}
        rows: dict[str, list[float | None]] = {bound: [] for bound in buckets}
        sums: list[float | None] = []
        for _ in range(STEPS):
            seen = rng.expovariate(2)
            total += seen
            for bound, counted in buckets.items():
                buckets[bound] = counted + (seen <= float(bound))
                rows[bound].append(buckets[bound])
            sums.append(total)
        for bound, counts in rows.items():
            yield {"__name__": "latency_seconds_bucket", "le": bound, **common}, counts
        yield {"__name__": "latency_seconds_sum", **common}, sums
        yield {"__name__": "latency_seconds_count", **common}, rows["+Inf"]
    odd = [1e300, -1e300, 5e-324, 1e21, 1e-7, 123456789.125, math.inf, -math.inf, 0.1 + 0.2, 1e6, 3.0]
    yield {"__name__": "odd", "kind": 'q"\\\n日本'}, [rng.choice(odd) for _ in range(STEPS)]


def write_request(rows: list[tuple[dict[str, str], list[float | None]]], first: int, last: int, begin_ms: int) -> bytes:
    """Samples of some steps. A NaN is a staleness marker."""
    message = pb.WriteRequest()
    for labels, values in rows:
        one = pb.TimeSeries(labels=[pb.Label(name=name, value=labels[name]) for name in sorted(labels)])
        for at in range(first, min(last, len(values))):
            value = values[at]
            if value is not None:
                one.samples.append(pb.Sample(value=value, timestamp=begin_ms + at * STEP_MS))
        if one.samples:
            message.timeseries.append(one)
    stale, quiet = STALE_BITS.to_bytes(8, "little"), b"\x00\x00\x00\x00\x00\x00\xf8\x7f"
    return bytes(cramjam.snappy.compress_raw(message.SerializeToString().replace(quiet, stale)))


def send(url: str, body: bytes) -> None:
    """One remote write."""
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    headers["X-Prometheus-Remote-Write-Version"] = "0.1.0"
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", body, headers), timeout=60):
        return


class Stage:
    """The three servers, and the times of the data."""

    def __init__(self, daemon: Daemon, prometheus: Prometheus, reading: Prometheus, begin_ms: int) -> None:
        self.daemon, self.prometheus, self.reading, self.begin_ms = daemon, prometheus, reading, begin_ms
        self.nissa = Peer(daemon.api_url)

    @property
    def end_s(self) -> float:
        return (self.begin_ms + STEPS * STEP_MS) / 1000

    @property
    def span(self) -> dict[str, str]:
        """Most of the data. Debian's Prometheus is of before two changes, which no question here comes near to: its
        ranges have their left end, and it extrapolates otherwise where a counter begins within a range."""
        return {"start": f"{self.begin_ms / 1000 + WARM_S + ASIDE_S:.3f}", "end": f"{self.end_s:.3f}"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The same data in Nissa, partly sealed, and in Prometheus; a third reads Nissa and has nothing itself."""
    directory = tmp_path_factory.mktemp("asked")
    begin_ms = (int(time.time() * 1000) - (STEPS + 20) * STEP_MS) // 60_000 * 60_000
    begin_ms += 3_000  # apart from the steps of subqueries
    rows = list(series(random.Random(SEED)))
    print("seed", SEED)
    with contextlib.ExitStack() as stack:
        environment = {"NISSA_STORAGE__SEAL_INTERVAL": "1000ms"}
        daemon = stack.enter_context(running(directory / "data", environment=environment))
        prometheus = Prometheus(directory / "prometheus", CONFIG)
        stack.callback(prometheus.end)
        reading = Prometheus(directory / "reading", CONFIG + READING.format(api=daemon.api_url))
        stack.callback(reading.end)
        for first in range(0, STEPS, 20):
            body = write_request(rows, first, first + 20, begin_ms)
            send(daemon.ingest_url, body)
            send(prometheus.url, body)
            if first == STEPS // 2:
                daemon.wait_sealed()
        yield Stage(daemon, prometheus, reading, begin_ms)


def same(ours: Any, theirs: Any) -> bool:
    """Equal but for the last digits of numbers."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, str) and isinstance(theirs, str) and ours != theirs:
        try:
            return math.isclose(float(ours), float(theirs), rel_tol=1e-9, abs_tol=1e-12)
        except ValueError:
            return False
    return bool(ours == theirs)


def by_metric(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer whose order is not promised, in one order."""
    if answer["data"]["resultType"] == "vector":
        answer["data"]["result"].sort(key=lambda one: sorted(one["metric"].items()))
    return answer


@pytest.mark.needs_debian("prometheus")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_answers_are_those_of_prometheus(stage: Stage, expression: str) -> None:
    """Instant and range queries answer alike, and refusals have the same code."""
    moments = [stage.end_s - 7.123, stage.end_s - 900 + ASIDE_S]
    questions = [("query", {"time": f"{moment:.3f}"}) for moment in moments]
    questions += [("query_range", {**stage.span, "step": step}) for step in ("15", "1m", "37.5")]
    for path, times in questions:
        ours = stage.nissa.ask(path, query=expression, **times)
        theirs = stage.prometheus.ask(path, query=expression, **times)
        assert ours["status"] == theirs["status"], (ours, theirs)
        if ours["status"] == "error":
            assert (ours["code"], ours["errorType"]) == (theirs["code"], theirs["errorType"])
            continue
        if not expression.startswith(("sort", "topk")):
            ours, theirs = by_metric(ours), by_metric(theirs)
        assert same(ours["data"], theirs["data"]), (path, times, ours["data"], theirs["data"])


@pytest.mark.needs_debian("prometheus")
@pytest.mark.parametrize("expression", ["load", "odd", "requests_total", "leaving", "1e21", "vector(1e-7)"])
def test_numbers_are_spelled_as_prometheus_spells_them(stage: Stage, expression: str) -> None:
    """Stored samples are equal as text: digits, exponents, infinities, times."""
    ours = by_metric(stage.nissa.ask("query", query=expression, time=f"{stage.end_s:.3f}"))
    assert ours["data"] == by_metric(stage.prometheus.ask("query", query=expression, time=f"{stage.end_s:.3f}"))["data"]
    span = {**stage.span, "step": "15"}
    ours = stage.nissa.ask("query_range", query=expression, **span)
    assert ours["data"] == stage.prometheus.ask("query_range", query=expression, **span)["data"]


@pytest.mark.needs_debian("prometheus")
def test_another_prometheus_reads_nissa(stage: Stage) -> None:
    """A Prometheus without samples answers by remote read like the one that has them all."""
    for expression in ("load", "odd[5m]", "sum by (code) (rate(requests_total[1m]))", "leaving"):
        for path, times in (("query", {"time": f"{stage.end_s:.3f}"}), ("query_range", {**stage.span, "step": "15"})):
            if path == "query_range" and "[5m]" in expression and "rate" not in expression:
                continue
            through = stage.reading.ask(path, query=expression, **times)
            own = stage.prometheus.ask(path, query=expression, **times)
            assert by_metric(through)["data"] == by_metric(own)["data"]
            assert own["data"]["result"] or expression == "leaving"


def chunks_of(url: str, begin_ms: int, end_ms: int) -> dict[tuple[tuple[str, str], ...], list[tuple[int, int]]]:
    """Samples of a streamed remote read, chunks taken apart; series must be sorted."""
    matcher = LabelMatcher(type=LabelMatcher.Type.RE, name="__name__", value=".+")
    query = Query(start_timestamp_ms=begin_ms, end_timestamp_ms=end_ms, matchers=[matcher])
    body = ReadRequest(queries=[query], accepted_response_types=[1]).SerializeToString()
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    headers["X-Prometheus-Remote-Read-Version"] = "0.1.0"
    request = urllib.request.Request(f"{url}/api/v1/read", bytes(cramjam.snappy.compress_raw(body)), headers)
    found: dict[tuple[tuple[str, str], ...], list[tuple[int, int]]] = {}
    with urllib.request.urlopen(request, timeout=60) as reply:
        for frame in read_frames(reply.read()):
            (one,) = frame.chunked_series
            labels = tuple((label.name, label.value) for label in one.labels)
            rows = found.setdefault(labels, [])
            for chunk in one.chunks:
                rows += [row for row in read_chunk(chunk.data) if begin_ms <= row[0] <= end_ms]
    assert list(found) == sorted(found)
    return found


@pytest.mark.needs_debian("prometheus")
def test_streamed_chunks_hold_what_those_of_prometheus_hold(stage: Stage) -> None:
    """Every sample of every series with its bits, staleness markers too, read by one decoder from both."""
    span_ms = stage.begin_ms + 60_000, stage.begin_ms + (STEPS - 4) * STEP_MS
    ours = chunks_of(stage.nissa.url, *span_ms)
    assert ours == chunks_of(stage.prometheus.url, *span_ms)
    assert any(bits == STALE_BITS for rows in ours.values() for _, bits in rows)


@pytest.mark.needs_debian("prometheus")
def test_what_grafana_sends(stage: Stage) -> None:
    """Save and test, the label browser, variables, a panel and metadata, in the requests that Grafana makes."""
    nissa, span = stage.nissa, stage.span
    health = nissa.ask("query", query="1+1", time="4")
    assert health == {"status": "success", "data": {"resultType": "scalar", "result": [4, "2"]}}
    build = nissa.ask("status/buildinfo", post=False)["data"]
    assert build["version"]
    assert "features" not in build
    for matchers in ([], ['load{instance="host-1"}'], SELECTORS):
        own = {**span, "match[]": matchers} if matchers else span
        for path in ("labels", "label/job/values", "label/__name__/values", "label/le/values"):
            post = path == "labels"
            ours, theirs = (peer.ask(path, post=post, **own)["data"] for peer in (nissa, stage.prometheus))
            assert ours == theirs, (path, own)
    for matchers in (["load"], SELECTORS):
        ours, theirs = (
            peer.ask("series", **span, **{"match[]": matchers})["data"] for peer in (nissa, stage.prometheus)
        )
        assert sorted(map(str, (sorted(one.items()) for one in ours))) == sorted(
            map(str, (sorted(one.items()) for one in theirs))
        )
    assert nissa.ask("series", **span, limit="2", **{"match[]": "load"})["warnings"]
    panel = {"query": "sum by (code) (rate(requests_total[1m0s]))", **span, "step": "15"}
    ours, theirs = nissa.ask("query_range", **panel), stage.prometheus.ask("query_range", **panel)
    assert same(ours["data"], theirs["data"])
    assert ours["data"]["result"]
    assert nissa.ask("metadata", post=False, limit="40000")["status"] == "success"
    assert nissa.ask("query_exemplars", **panel)["data"] == []
    assert nissa.ask("rules", post=False)["data"] == {"groups": []}
    assert nissa.ask("alerts", post=False)["data"] == {"alerts": []}


@pytest.mark.needs_debian("prometheus")
@pytest.mark.parametrize(
    "arguments",
    [
        ("instant", "load"),
        ("instant", "max by (code) (increase(requests_total[1m]))"),
        ("range", "max(load)"),
        ("series", "load"),
        ("labels", "instance"),
    ],
)
def test_promtool_works(stage: Stage, arguments: tuple[str, str]) -> None:
    """``promtool query`` prints the same for Nissa and for Prometheus."""
    kind, what = arguments
    printed = []
    for url in (stage.nissa.url, stage.prometheus.url):
        command = ["promtool", "query", kind]
        if kind == "instant":
            command += [f"--time={stage.end_s + ASIDE_S:.0f}"]
        elif kind in ("range", "series", "labels"):
            command += [f"--start={stage.begin_ms // 1000 + WARM_S + ASIDE_S}", f"--end={stage.end_s:.0f}"]
        command += ["--step=30s"] if kind == "range" else []
        command += [f"--match={what}", url] if kind == "series" else [url, what]
        done = subprocess.run(command, capture_output=True, timeout=60, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        printed.append(sorted(done.stdout.splitlines()) if kind in ("instant", "series") else done.stdout.splitlines())
    assert printed[0] == printed[1]
    assert printed[0]


@pytest.mark.needs_debian("prometheus")
def test_a_federation_is_what_prometheus_federates(stage: Stage) -> None:
    """The same lines where the newest samples are not too old; promtool has nothing to say about them."""
    texts = []
    for url in (stage.nissa.url, stage.prometheus.url):
        query = "&".join(f"match[]={quote(selector)}" for selector in ("load", "odd", "latency_seconds_count"))
        with urllib.request.urlopen(f"{url}/federate?{query}", timeout=60) as reply:
            texts.append(reply.read().decode())
    assert sorted(texts[0].splitlines()) == sorted(texts[1].splitlines())


@pytest.mark.needs_debian("prometheus")
def test_formatting_is_that_of_prometheus(stage: Stage) -> None:
    """Short expressions come out of the formatter as Prometheus writes them."""
    for expression in ("sum(up)by(job)", "rate(x{a='b'}[5m])>1", "a+on(b)group_left()c", "1 +  2"):
        ours, theirs = (peer.ask("format_query", query=expression)["data"] for peer in (stage.nissa, stage.prometheus))
        assert ours == theirs
