"""Expressions that are evaluated together give what each gives alone, to the last bit and in the same order."""

import os
import re
from pathlib import Path

import pytest

from nissa.model.allowance import no_check
from nissa.model.errors import NissaError
from nissa.promql.alike import OWNER, Alike, Metrics, common_shape, evaluate_alike
from nissa.promql.evaluate import evaluate_instant
from nissa.promql.limits import LIMITS
from nissa.promql.memory_source import MemorySource
from nissa.promql.parse import read_expression
from oracle.promqltest import load, read_script, read_series

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.test"))
CORPORA = os.environ.get("NISSA_CORPORA", "")
THEIRS = sorted(Path(CORPORA, "promqltest").glob("*.test")) if CORPORA else []
METRICS_MAX = 6  # of a case
SHAPES = [
    "{}",
    "-{}",
    "rate({}[1m])",
    "sum by (job) (rate({}[1m])) / 2",
    "max without (instance) ({} offset 30s)",
    "stddev(avg by (job, instance) (rate({}[1m])))",
    "time() - timestamp({})",
    "2 ^ {} % 7",
    "{} > bool 5",
    "clamp_max(quantile_over_time(0.3, {}[2m]), 40)",
    "max_over_time(sum by (job) (rate({}[1m]))[3m:30s])",
    "{}{instance!='0'} @ 300",
    "count by (job) ({} > 100)",
    "topk(1, {})",
    "bottomk by (job) (2, rate({}[1m]))",
    "quantile without (instance) (0.4, {})",
    "histogram_quantile(0.9, {})",
    "sum by (job) (rate({}[1m])) / count by (job) (b_total)",
    "{} - b_total",
    "{} / on (instance, job) group_left () c",
    "{} / ignoring (job) b_total",
    "{} and on (job) b_total > 3",
    "{} or b_total",
    "b_total unless {} > 100",
    "{} * on (job) group_left () max by (job) (b_total) / {}",
]
ALONE = [
    "count_values('n', a_total)",
    "label_replace(a_total, 'x', 'y', 'job', '.*')",
    "absent(a_total)",
    "absent_over_time(a_total[5m])",
    "scalar(a_total)",
    "vector(1)",
    "a_total[5m]",
    "{job='a'}",
    "{__name__=~'a_total'}",
    "{__name__='a_total', __name__!='b'}",
    "sum by (job) (a_total) and on () vector(1)",
    "hour()",
    "a_total * scalar(b_total)",
    "sort(a_total)",
    "topk(scalar(b_total), a_total)",
    "a_total + fill(0) b_total",
    "a_total + {job='a'}",
    "{'dotted.name'}",
]


def rows_of(source: MemorySource, text: str, at_ms: int) -> list[str]:
    """The series of an expression by itself."""
    vector = evaluate_instant(source, text, at_ms).vector
    assert vector is not None
    return [repr((vector.labels.row(row), float(vector.values[row, 0]))) for row in range(len(vector))]


def rows_in(alike: Alike, metrics: Metrics) -> list[str]:
    """The series of one expression among several."""
    found = alike.found.get(metrics)
    rows = [] if found is None else found.rows.tolist()
    return [repr((found.labels.row(row), float(found.values[row]))) for row in rows]


def same_as_alone(source: MemorySource, text: str, metrics: list[str], at_ms: int) -> bool:
    """Compare with what is made by turning metrics into others; False where it is evaluated alone, or one fails."""
    found = common_shape(read_expression(text))
    if found is None:
        return False
    shape, own = found
    every = sorted({*own, *metrics})
    texts = {}
    for turn in range(len(every)):
        other = dict(zip(every, every[turn:] + every[:turn], strict=True))
        words = re.split(r"(?<![\w:])([a-zA-Z_:][\w:]*)", text)
        texts[tuple(other[name] for name in own)] = "".join(other.get(word, word) for word in words)
    try:
        alone = {metrics: rows_of(source, each, at_ms) for metrics, each in texts.items()}
    except NissaError:
        return False
    shapes = {metrics: repr(common_shape(read_expression(each))) for metrics, each in texts.items()}
    assert shapes == {metrics: repr((shape, metrics)) for metrics in texts}
    alike = evaluate_alike(source, shape, list(texts), at_ms, no_check, LIMITS)
    assert {metrics: rows_in(alike, metrics) for metrics in texts} == alone
    return True


@pytest.fixture
def three() -> MemorySource:
    """Counters of three metrics, with labels and samples that differ."""
    source = MemorySource()
    for number in range(12):
        labels = {
            "__name__": ("a_total", "b_total", "c")[number % 3],
            "instance": str(number // 3),
            "job": "xy"[number % 2],
        }
        source.add(labels, [(at * 15_000, float(at * (number + 1)) ** 1.1) for at in range(40) if at * number % 7])
    return source


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(three: MemorySource, shape: str) -> None:
    """Functions, operators, aggregations and matching; one metric has no series."""
    assert same_as_alone(three, shape.replace("{}", "a_total"), ["b_total", "c", "absent_total"], 400_000)
    assert OWNER not in str(rows_of(three, shape.replace("{}", "a_total"), 400_000))


@pytest.mark.parametrize("text", ALONE)
def test_what_is_evaluated_by_itself(text: str) -> None:
    """No selector, a pattern for the metric, and whatever makes series of its own or changes labels."""
    assert common_shape(read_expression(text)) is None


def compared(path: Path) -> int:
    """Cases of a script that were compared, each with other metrics of its data."""
    source, metrics, count = MemorySource(), dict[str, None](), 0
    for command, what in read_script(path):
        if command == "clear":
            source, metrics = MemorySource(), {}
        elif command == "load":
            load(source, *what)
            metrics |= dict.fromkeys(read_series(line)[0].get("__name__", "x") for line in what[2])
        else:
            names = [name for name in metrics if re.fullmatch("[a-z_:0-9]+", name)][:METRICS_MAX]
            at_ms = what.at_ms if what.range_ms is None else what.range_ms[1]
            try:
                count += same_as_alone(source, what.expression, names, at_ms)
            except NissaError:  # the script expects that it cannot be parsed
                continue
    return count


def test_our_scripts() -> None:
    """Every case of our scripts that can be evaluated with others."""
    assert sum(compared(path) for path in SCRIPTS) > 10


@pytest.mark.skipif(not THEIRS, reason="set NISSA_CORPORA to a directory with promqltest/*.test of Prometheus")
@pytest.mark.parametrize("path", THEIRS, ids=lambda path: path.stem)
def test_scripts_of_prometheus(path: Path) -> None:
    """Every case of Prometheus' scripts that can be evaluated with others."""
    print(path.stem, compared(path))
