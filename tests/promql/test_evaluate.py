"""Evaluation against scripts in the notation of Prometheus' own tests: ours, and Prometheus' where they are present.

``NISSA_CORPORA`` names a directory with ``promqltest/*.test``; without it the second test is skipped.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from nissa.model.errors import BadQuery
from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.limits import ExecutionFailed, Limits
from nissa.promql.memory_source import MemorySource
from oracle.promqltest import run_script

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.test"))
CORPORA = os.environ.get("NISSA_CORPORA", "")
THEIRS = sorted(Path(CORPORA, "promqltest").glob("*.test")) if CORPORA else []
# Cases of Prometheus' scripts that differ, each with its reason; the page docs/promql.md lists them too.
DIFFERENT: dict[str, str] = {}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_our_scripts_pass(path: Path) -> None:
    """Every case of our own scripts gives the values, labels, order, warnings and errors that it expects."""
    outcomes = run_script(path)
    assert outcomes
    wrong = [f"{outcome.case.place}: {outcome.why}" for outcome in outcomes if outcome.state != "passed"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(not THEIRS, reason="set NISSA_CORPORA to a directory with promqltest/*.test of Prometheus")
@pytest.mark.parametrize("path", THEIRS, ids=lambda path: path.stem)
def test_scripts_of_prometheus_pass(path: Path) -> None:
    """Every case of Prometheus' scripts passes, apart from those that need native histograms or are listed."""
    outcomes = run_script(path)
    print(path.stem, Counter(outcome.state for outcome in outcomes))
    wrong = [
        f"{outcome.case.place}: {outcome.why}"
        for outcome in outcomes
        if outcome.state == "failed" and outcome.case.place not in DIFFERENT
    ]
    assert not wrong, "\n".join(wrong)


def test_answers_are_typed(source: MemorySource) -> None:
    """An instant query gives a scalar, a string, a vector or the samples of a range; a range query a matrix."""
    assert evaluate_instant(source, "1 + 1", 0).scalar.values.tolist() == [2.0]
    assert evaluate_instant(source, '"text"', 0).text == "text"
    assert len(evaluate_instant(source, "x_total", 60_000).vector) == 4
    assert evaluate_instant(source, 'x_total{instance="1"}[1m]', 60_000).samples.value.tolist() == [2, 4, 6, 8]
    answer = evaluate_range(source, "1", 0, 60_000, 30_000)
    assert (answer.kind, answer.vector.values.tolist()) == ("matrix", [[1.0, 1.0, 1.0]])


def test_rows_of_a_range_are_sorted_by_labels(source: MemorySource) -> None:
    """A range query gives series in the order of their label sets."""
    answer = evaluate_range(source, "-x_total", 0, 60_000, 15_000)
    assert [answer.vector.labels.row(row)["instance"] for row in range(4)] == ["0", "1", "2", "3"]


def test_a_query_ends_when_it_is_told_to(source: MemorySource) -> None:
    """The check is called between slices of work, and what it raises ends the query."""

    def end() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        evaluate_instant(source, "sum(x_total)", 0, check=end)


def test_queries_are_bounded(source: MemorySource) -> None:
    """Too many values, samples or steps are refused before they are in memory."""
    with pytest.raises(ExecutionFailed, match="too many samples"):
        evaluate_range(source, "x_total", 0, 600_000, 15_000, limits=Limits(cells_max=100))
    with pytest.raises(ExecutionFailed, match="too many samples"):
        evaluate_instant(source, "x_total[1h]", 600_000, limits=Limits(samples_max=100))
    with pytest.raises(ExecutionFailed, match="steps"):
        evaluate_range(source, "x_total", 0, 10**15, 1)
    with pytest.raises(ExecutionFailed, match="steps"):
        evaluate_instant(source, "sum_over_time(vector(1)[100y:1ms])", 0)


@pytest.mark.parametrize(("step_ms", "end_ms"), [(0, 1000), (-5, 1000), (1, -1)])
def test_backward_ranges_are_refused(source: MemorySource, step_ms: int, end_ms: int) -> None:
    """A step that is not positive and an end before the start are the asker's fault."""
    with pytest.raises(BadQuery):
        evaluate_range(source, "x_total", 0, end_ms, step_ms)
