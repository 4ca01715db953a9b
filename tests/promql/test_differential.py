"""Generated expressions over random data, beside Debian's Prometheus, which has the same samples by remote write.

Left out, as Prometheus 3 means something else by it than the 2.42 of Debian, or has it only there:

* samples on the border of a window or of the lookback (left-open now): times have odd milliseconds, steps whole
  seconds, and the windows of subqueries half a second
* counters near zero (how far ``rate`` extrapolates there): counters begin at 10,000 and fall to half
* infinities in means and deviations: they stand in series of their own, which are not averaged
* ``by (__name__)`` after a function (names are dropped at the end now), and rows that a filter leaves of many to one
* atan2 with a number, which keeps the name there
* functions that are newer: mad_over_time, sort_by_label, limitk, limit_ratio, info, ts_of_*, first_over_time
"""

import json
import math
import random
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import cramjam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.model.errors import NissaError
from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.format import answer_json
from nissa.promql.memory_source import MemorySource
from oracle.ports import free_port
from oracle.promqltest import STALE

EXAMPLES = 200
SPAN_S = 1_800
START_TIMEOUT_S = 60
TOLERANCE = 1e-9


class Peer(NamedTuple):
    """Prometheus' address, the same samples in memory, and the time of the first."""

    url: str
    source: MemorySource
    first_s: int


def generated_series(chance: random.Random) -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
    """Label sets with samples as (milliseconds from the start, value)."""
    for number in range(12):
        labels = {"job": "abc"[number % 3], "instance": str(number // 3)}
        times = [at * 1000 + 501 for at in range(0, SPAN_S, 15) if chance.random() > 0.1]
        counter, gauge, wild = [], [], []
        total = 10_000.0 + number
        for at in times:
            total = total / 2 if chance.random() < 0.03 else total + chance.randrange(30)
            counter.append((at, total))
            gauge.append((at, STALE if chance.random() < 0.05 else chance.uniform(-50, 100)))
            wild.append((at, chance.choice([1.0, 2.5, math.nan, math.inf, -math.inf, 0.0])))
        yield {"__name__": "x_total", **labels}, counter
        yield {"__name__": "g", **labels}, gauge
        if number < 3:
            yield {"__name__": "wild", **labels}, wild
            yield {"__name__": "one", "job": "abc"[number], "zone": f"z{number}"}, [(at, 2.0 + number) for at in times]
            for place, bound in enumerate(("0.1", "1", "10", "+Inf")):
                buckets = [(at, float((at // 1000) * (place + 1) + number)) for at in times]
                yield {"__name__": "h_bucket", "job": "abc"[number], "le": bound}, buckets


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """Debian's Prometheus with the samples of an hour ago."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    directory = tmp_path_factory.mktemp("prometheus")
    (directory / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
    ]
    command += ["--web.enable-remote-write-receiver", f"--web.listen-address=127.0.0.1:{port}"]
    command += ["--enable-feature=promql-negative-offset,promql-at-modifier,promql-per-step-stats"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(url)
        first_s = int(time.time()) // 60 * 60 - 3_600
        yield Peer(url, fill(url, random.Random(seed), first_s), first_s)
    finally:
        process.kill()
        process.wait()


def wait_ready(url: str) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"{url} is not ready")


def fill(url: str, chance: random.Random, first_s: int) -> MemorySource:
    """The same samples there and in memory."""
    source, request = MemorySource(), WriteRequest()
    for labels, samples in generated_series(chance):
        moved = [(first_s * 1000 + at, value) for at, value in samples]
        source.add(labels, moved)
        series = request.timeseries.add()
        for name, value in sorted(labels.items()):
            series.labels.add(name=name, value=value)
        for at, number in moved:
            series.samples.add(value=number, timestamp=at)
    body = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
    headers["X-Prometheus-Remote-Write-Version"] = "0.1.0"
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", body, headers), timeout=60).close()
    return source


def ask(peer: Peer, path: str, **question: Any) -> dict[str, Any] | None:
    """Prometheus' answer, None where it refuses."""
    try:
        with urllib.request.urlopen(f"{peer.url}/api/v1/{path}?{urlencode(question)}", timeout=60) as reply:
            return dict(json.load(reply)["data"])
    except urllib.error.HTTPError as error:
        assert error.code in (400, 422), error.read()
        return None


# ---- expressions ----

MATCHERS = st.sampled_from(["", '{job="a"}', '{instance!="1"}', '{job=~"a|c"}', '{instance!~"[02]"}', '{job="none"}'])
SHIFTS = st.sampled_from(["", "", "", " offset 2m", " offset -90s", " @ end()", " @ start()"])
RANGES = st.sampled_from(["[47s]", "[2m]", "[7m]"])
GAUGES = st.builds(lambda *parts: "".join(parts), st.just("g"), MATCHERS, SHIFTS)
COUNTERS = st.builds(lambda *parts: "".join(parts), st.just("x_total"), MATCHERS, SHIFTS)
FUNCTIONS = [
    f"{name}_over_time" for name in ("sum", "avg", "min", "max", "count", "last", "present", "stddev", "stdvar")
]
FUNCTIONS += ["delta", "irate", "idelta", "changes", "resets", "deriv"]
ROLLED = st.builds(
    lambda head, matchers, window, shift: f"{head}{matchers}{window}{shift})",
    st.sampled_from([f"{name}({metric}" for name in FUNCTIONS for metric in ("g", "x_total")])
    | st.sampled_from(["rate(x_total", "increase(x_total"]),
    MATCHERS,
    RANGES,
    SHIFTS,
)
PARAMETRIC = st.sampled_from(
    [
        *("quantile_over_time(0.3, g[3m])", "predict_linear(g[5m], 60)", "absent(g{job='none'})", "absent(g)"),
        *("absent_over_time(g{job='none'}[2m])", "histogram_quantile(0.7, h_bucket)", "timestamp(g) % 1000"),
        *("histogram_quantile(0.9, sum by (le) (rate(h_bucket[3m])))", "scalar(one{job='a'}) + g", "clamp(g, -10, 20)"),
        *("round(g, 5)", "floor(g)", "sgn(g)", "hour(x_total)", "minute()", "sqrt(g)", "ln(x_total)", "abs(g)"),
        *("sort(g)", "sort_desc(x_total)", "count_values('v', one)", "label_join(g, 'n', '-', 'job', 'instance')"),
        *("label_replace(g, 'n', 'is-$1', 'job', '(a|b)')", "max_over_time(rate(x_total[2m])[6m500ms:30s])"),
        *("avg_over_time(sum(g)[4m500ms:50s] offset 1m)", "day_of_week(x_total * 1e5)", "vector(time() % 1000)"),
    ]
)
WILD = st.sampled_from(
    [
        *("max_over_time(wild[3m])", "sum_over_time(wild[1m])", "changes(wild[5m])", "sum(wild)", "max(wild)", "-wild"),
        *("min by (job) (wild)", "wild > 1", "wild == bool wild", "wild / 0", "wild % wild"),
        "quantile_over_time(1.5, g[1m])",
        *("quantile(0.5, wild)", "resets(wild[4m])", "wild ^ 0", "count_values('v', wild)", "rate(wild[1m]) > bool 0"),
        *(
            "quantile_over_time(0.5, wild[2m])",
            "idelta(wild[2m])",
            "round(wild)",
            "sgn(wild)",
            "last_over_time(wild[1m])",
        ),
    ]
)
# Of values that are never equal: which of equal ones is chosen depends on the order in which series come.
CHOSEN = st.builds(
    lambda operation, count, by, text: f"{operation}{by} ({count}, {text})",
    st.sampled_from(["topk", "bottomk"]),
    st.integers(0, 4),
    st.sampled_from(["", " by (job)", " without (instance)"]),
    st.one_of(GAUGES, st.just("avg_over_time(g[3m])")),
)
LEAVES = st.one_of(GAUGES, COUNTERS, ROLLED, ROLLED, PARAMETRIC, CHOSEN)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions of expressions.

    Only such as do not enlarge the last bit, which another order of sums may change: between computed sides nothing is
    divided or compared.
    """
    grouping = st.sampled_from(["", " by (job)", " without (instance)", " by (job, instance)", " by (none)"])
    totals = st.sampled_from(["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"])
    exact = st.sampled_from(["+", "-", "*"])
    turned = st.sampled_from(["+", "-", "<", ">= bool"])
    compared = st.sampled_from(["+", "-", "*", "/", "^", ">", "<=", "!=", "== bool", "> bool"])
    return st.one_of(
        st.builds(lambda name, by, text: f"{name}{by} ({text})", totals, grouping, inner),
        st.builds(lambda by, text: f"quantile{by} (0.4, {text})", grouping, inner),
        st.builds(lambda operator, left, right: f"({left}) {operator} ({right})", exact, inner, inner),
        st.builds(lambda operator, text: f"({text}) {operator} 2.5123", compared, inner),
        st.builds(lambda operator, text: f"3.0123 {operator} ({text})", turned, inner),
        st.builds(
            lambda operator, left, right: f"({left}) {operator} on(job) group_left(zone) (one{right})",
            st.sampled_from(["+", "*", "/"]),
            inner,
            MATCHERS.filter(lambda text: "instance" not in text),
        ),
        st.builds(
            lambda operator, labels, left, right: f"({left}) {operator} {labels} ({right})",
            st.sampled_from(["and", "or", "unless"]),
            st.sampled_from(["", "on(job)", "ignoring(instance)"]),
            inner,
            inner,
        ),
    )


EXPRESSIONS = st.recursive(LEAVES, grown, max_leaves=4) | WILD


# ---- comparison ----


def near(left: str, right: str) -> bool:
    """Equal to 1e-9, relative to the size of the numbers that went in."""
    ours, theirs = float(left), float(right)
    if math.isnan(ours) or math.isnan(theirs):
        return math.isnan(ours) and math.isnan(theirs)
    return ours == theirs or math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def rows_of(data: dict[str, Any], ordered: bool) -> list[tuple[Any, list[tuple[float, str]]]]:
    """Series with their points."""
    if data["resultType"] in ("scalar", "string"):
        return [((), [tuple(data["result"])])]
    rows = [
        (
            tuple(sorted(one["metric"].items())),
            [(round(at * 1000), text) for at, text in one.get("values", [one.get("value")])],
        )
        for one in data["result"]
    ]
    return rows if ordered else sorted(rows, key=lambda row: row[0])


def assert_same(ours: dict[str, Any] | None, theirs: dict[str, Any] | None, ordered: bool) -> None:
    """The same kind, series, times and values; or both refuse."""
    assert (ours is None) is (theirs is None), (ours, theirs)
    if ours is None or theirs is None:
        return
    assert ours["resultType"] == theirs["resultType"]
    mine, other = rows_of(ours, ordered), rows_of(theirs, ordered)
    assert [labels for labels, _ in mine] == [labels for labels, _ in other]
    for (labels, points), (_, wanted) in zip(mine, other, strict=True):
        assert [at for at, _ in points] == [at for at, _ in wanted], labels
        wrong = [pair for pair in zip(points, wanted, strict=True) if not near(pair[0][1], pair[1][1])]
        assert not wrong, (labels, wrong[:3])


@pytest.mark.needs_debian("prometheus")
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=EXPRESSIONS, at_s=st.integers(0, SPAN_S), step_s=st.sampled_from([17, 60, 301]))
def test_answers_are_those_of_prometheus(peer: Peer, text: str, at_s: int, step_s: int) -> None:
    """Instant and range queries give the labels, times and values of Prometheus, in its order where it has one."""
    at = peer.first_s + at_s
    sorts = text.startswith(("sort", "topk (", "bottomk ("))
    theirs = ask(peer, "query", query=text, time=at)
    assert_same(ours_of(lambda: evaluate_instant(peer.source, text, at * 1000)), theirs, sorts)
    end = peer.first_s + SPAN_S
    theirs = ask(peer, "query_range", query=text, start=at, end=end, step=step_s)
    ours = ours_of(lambda: evaluate_range(peer.source, text, at * 1000, end * 1000, step_s * 1000))
    assert_same(ours, theirs, ordered=True)


@pytest.mark.needs_debian("prometheus")
@pytest.mark.parametrize(
    "text",
    [
        "x_total",
        "sum by (job) (rate(x_total[5m]))",
        'g{job="a"} / on (instance) group_left g{job="b"}',
        "g + on (job, instance) g @ start()",
        "max_over_time(rate(x_total[2m])[10m:30s])",
        "sum(g offset 3m) + 1",
    ],
)
def test_samples_are_counted_as_by_prometheus(peer: Peer, text: str) -> None:
    """``stats=all``: the samples looked at, at each step and together."""
    start, end = peer.first_s + 400, peer.first_s + SPAN_S
    query = urlencode({"query": text, "start": start, "end": end, "step": 60, "stats": "all"})
    with urllib.request.urlopen(f"{peer.url}/api/v1/query_range?{query}", timeout=60) as answer:
        theirs = json.load(answer)["data"]["stats"]["samples"]
    ours = evaluate_range(peer.source, text, start * 1000, end * 1000, 60_000, stats=True)
    steps = [[at_ms / 1000, count] for at_ms, count in zip(ours.at_ms, ours.samples_by_step, strict=True)]
    assert steps == theirs["totalQueryableSamplesPerStep"]
    assert ours.samples_by_step.sum() == theirs["totalQueryableSamples"]


def ours_of(evaluate: Any) -> dict[str, Any] | None:
    """Our answer as JSON has it, None where it is refused."""
    try:
        return dict(json.loads(b"".join(answer_json(evaluate()))))
    except NissaError:
        return None
