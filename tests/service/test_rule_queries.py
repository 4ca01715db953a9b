"""Queries of rules: a result shared between rules equals the one that each would have got alone."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nissa.model.allowance import Check
from nissa.model.errors import NissaError
from nissa.promql.evaluate import evaluate_instant
from nissa.promql.limits import Limits
from nissa.promql.memory_source import MemorySource
from nissa.promql.source import SampleSource
from nissa.rules.queries import RecordedSample
from nissa.service.rule_ground import MemoryGround
from nissa.service.rule_queries import SourceQueries, metric_names, rule_samples

VALUES = (1.0, 2.0, 3.0, math.nan, math.inf)


def ground() -> MemoryGround:
    """A series of x for each value."""
    found = MemoryGround()
    labels = ({"__name__": "x", "i": str(number)} for number in range(len(VALUES)))
    found.add(RecordedSample(one, 1_000, value) for one, value in zip(labels, VALUES, strict=True))
    return found


@pytest.mark.parametrize("left", ["x", "-x", "sum by (i) (x)", "x * 1 > 1"])
def test_thresholds_are_what_the_evaluator_says(left: str) -> None:
    """Every comparison with a number, also of what is not a number, several rules with one left side."""
    shared = ground().queries
    source = MemorySource()
    for number, value in enumerate(VALUES):
        source.add({"__name__": "x", "i": str(number)}, [(1_000, value)])
    for operator in (">", "<", ">=", "<=", "==", "!=", "> bool"):
        for number in ("2", "NaN"):
            text = f"{left} {operator} {number}"
            assert repr(shared.instant(text, 2_000)) == repr(rule_samples(evaluate_instant(source, text, 2_000)))


def test_what_was_recorded_is_seen_after_renew() -> None:
    """A shared answer is of one time, and forgotten when samples were stored."""
    place = ground()
    assert len(place.queries.instant("x > 2", 2_000)) == 2
    place.add([RecordedSample({"__name__": "x", "i": "9"}, 1_500, 9.0)])
    place.queries.renew()
    assert len(place.queries.instant("x > 2", 2_000)) == 3
    place.add([RecordedSample({"__name__": "x", "i": "8"}, 2_500, 9.0)])
    assert len(place.queries.instant("x > 2", 3_000)) == 4


def test_metrics_that_an_expression_reads() -> None:
    """Metric names an expression reads; None if a selector names no metric."""
    assert metric_names("a + on () rate(b[5m]) > 2") == {"a", "b"}
    assert metric_names('a + {job="x"}') is None


def many() -> MemoryGround:
    """Three metrics of two series each."""
    found = MemoryGround()
    labels = [{"__name__": name, "i": str(number)} for name in "abc" for number in range(2)]
    found.add(RecordedSample(one, 1_000, float(value)) for value, one in enumerate(labels))
    return found


def test_expected_expressions_are_evaluated_together() -> None:
    """With and without the notice the answers are the same, also of expressions that fail or are alone."""
    texts = (
        "a > 0",
        "b > 1",
        "b > 2",
        "c",
        "sum(a)",
        "sum(b) > 0",
        "a + b",
        "b - c",
        "c - a",
        "a - c",
        "nonsense(",
        "none > 1",
        "1",
        "a > 0",
    )
    expected, alone = many().queries, many().queries
    for _ in range(2):
        expected.expect(texts, 2_000)
        for text in texts:
            answers = []
            for queries in (expected, alone):
                try:
                    answers.append(repr(queries.instant(text, 2_000)))
                except NissaError as error:
                    answers.append(str(error))
            assert answers[0] == answers[1]
        assert expected.instant("a > 0", 1_000_000) == []


def test_an_expression_that_fails_fails_alone() -> None:
    """Together they are over a limit: each is answered by itself, and they are divided the next time."""
    place = MemoryGround()
    for name in "abcd":
        labels = [{"__name__": name, "i": "1"}, {"__name__": name, "i": "2"}]
        place.add(RecordedSample(one, 1_000, 1.0) for one in labels)
    opened: list[int] = []
    real = place.queries

    @contextmanager
    def counted(_: Check) -> Iterator[SampleSource]:
        opened.append(1)
        with place._open(_) as source:
            yield source

    queries = SourceQueries(counted, limits=Limits(cells_max=6))
    texts = tuple(f"{name} > 0" for name in "abcd")
    for sources in (5, 2, 2):  # eight cells are too many, four are not
        opened.clear()
        queries.expect(texts, 2_000)
        assert [queries.instant(text, 2_000) for text in texts] == [real.instant(text, 2_000) for text in texts]
        assert len(opened) == sources


def test_what_was_recorded_is_seen_by_expected_ones() -> None:
    """After ``renew`` nothing of before is answered."""
    place, texts = many(), ("a > 0", "b > 0", "c > 0")
    place.queries.expect(texts, 2_000)
    assert len(place.queries.instant("a > 0", 2_000)) == 1
    place.add([RecordedSample({"__name__": "b", "i": "9"}, 1_500, 9.0)])
    assert len(place.queries.instant("b > 0", 2_000)) == 2
    place.queries.renew()
    assert len(place.queries.instant("b > 0", 2_000)) == 3
