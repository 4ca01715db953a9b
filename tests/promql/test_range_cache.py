"""The range cache alone: queries that it serves, answers that it puts together. Against an engine: ``tests/api``."""

import gc
import weakref

import numpy as np
import pytest

from nissa.promql.evaluate import LOOKBACK_MS, evaluate_range
from nissa.promql.format import answer_json
from nissa.promql.labels import label_rows
from nissa.promql.memory_source import MemorySource, OwnTexts
from nissa.promql.parse import read_expression
from nissa.promql.range_cache import CELL_BYTES, CacheRequest, RangeCache, World, reach_ms
from nissa.promql.values import QueryResult, Vector
from nissa.store.arrivals import NEVER_MS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("x", 300),
        ("time()", 0),
        ("x offset 1m", 360),
        ("rate(x[2m] offset 1m)", 180),
        ("sum by (a) (rate(x[2m])) / y", 300),
        ("max_over_time(rate(x[2m])[10m:1m] offset 1m)", 780),
        ("+".join(["x"] * 900), 300),
        ("x offset -1s", None),
        ("rate(x[2m] offset -1s)", None),
        ("x @ 10", None),
        ("1 + x @ end()", None),
        ("max_over_time(x[10m:1m] @ start())", None),
        ("x + range()", None),
        ("info(x)", None),
        ("sum(limitk(1, x))", None),
        ("limit_ratio(0.5, x)", None),
    ],
)
def test_reach(text: str, seconds: int | None):
    """The time that a step looks back; None where it depends on later samples or on the range."""
    found = reach_ms(read_expression(text), LOOKBACK_MS)
    assert found == (None if seconds is None else seconds * 1_000)


class Asked:
    """A cache over samples in memory, whose index has no symbols: all texts are a query's own."""

    def __init__(self, source: MemorySource) -> None:
        self.source = source
        self.cache = RangeCache(1_000_000, 0)
        self.index, self.version, self.earliest_ms = object(), 0, NEVER_MS
        self.evaluated_ms: list[int] = []

    def ask(self, text: str, start_s: int, end_s: int) -> str:
        """The answer as JSON, which is the one without a cache."""
        request = CacheRequest(text, start_s * 1_000, end_s * 1_000, 15_000, LOOKBACK_MS, "auto")
        world = World(self.index, self.source.texts, self.version, 0, lambda _mark: self.earliest_ms, 0)

        def evaluate(start_ms: int) -> QueryResult:
            self.evaluated_ms.append(start_ms)
            return evaluate_range(self.source, text, start_ms, request.end_ms, request.step_ms)

        answer = self.cache.answer(request, world, evaluate, lambda _taken: None, lambda: True)
        whole = evaluate_range(self.source, text, request.start_ms, request.end_ms, request.step_ms)
        assert b"".join(answer_json(answer)) == b"".join(answer_json(whole))
        assert (answer.infos, answer.resolutions) == (whole.infos, whole.resolutions)
        assert np.array_equal(answer.at_ms, whole.at_ms)
        return b"".join(answer_json(answer)).decode()


@pytest.fixture
def asked(source: MemorySource) -> Asked:
    """Over the four counters."""
    return Asked(source)


def test_new_steps_alone_are_evaluated(asked):
    """A later query of the same steps begins behind the known ones; an equal one evaluates nothing."""
    asked.ask("sum(rate(x_total[1m]))", 300, 600)
    asked.ask("sum(rate(x_total[1m]))", 345, 645)
    asked.ask("sum(rate(x_total[1m]))", 345, 645)
    assert asked.evaluated_ms == [300_000, 615_000]


def test_changed_steps_are_evaluated(asked):
    """Steps from the earliest new row on are not taken from the cache."""
    asked.ask("x_total", 300, 600)
    asked.earliest_ms = 450_000
    asked.source.add({"__name__": "x_total", "job": "c", "instance": "9"}, [(450_000, 1.0)])
    assert '"9"' in asked.ask("x_total", 300, 600)
    assert asked.evaluated_ms == [300_000, 450_000]
    asked.earliest_ms = 300_000
    asked.ask("x_total", 300, 600)
    assert asked.evaluated_ms == [300_000, 450_000, 300_000]


def test_what_makes_an_entry_outdated(asked):
    """Another version of the past, another index, an earlier start."""
    asked.ask("x_total", 300, 600)
    asked.version = 1
    asked.ask("x_total", 300, 600)
    asked.index = object()
    asked.ask("x_total", 300, 600)
    asked.ask("x_total", 285, 600)
    assert asked.evaluated_ms == [300_000, 300_000, 300_000, 285_000]


def test_rows_that_come_and_go(asked):
    """A series that ends leaves the answer, and one that begins stands in the order of labels."""
    asked.source.add({"__name__": "y", "a": "2"}, [(100_000, 1.0)])
    asked.source.add({"__name__": "y", "a": "1"}, [(600_000, 1.0)])
    assert '"a":"2"' in asked.ask("y", 300, 600)
    assert '"a":"2"' not in asked.ask("y", 600, 900)
    asked.ask('label_replace(y, "b", "made $1", "a", "(.*)")', 300, 600)
    asked.ask('label_replace(y, "b", "made $1", "a", "(.*)")', 315, 645)
    assert asked.evaluated_ms == [300_000, 615_000, 300_000, 615_000]


def test_answers_with_warnings_are_not_kept(asked):
    """They may be those of steps that are gone."""
    asked.ask("quantile(2, x_total)", 300, 600)
    assert asked.cache.facts()["entries"] == 0


def test_an_entry_counts_all_that_it_holds(asked):
    """The text of the query, times of steps, and texts that the query made."""
    asked.ask("vector(1)", 0, 0)
    before = asked.cache.facts()["bytes"]
    asked.ask("vector(1)" + " " * 50_000, 0, 0)
    asked.ask(f'label_replace(vector(1), "made", "{"x" * 50_000}", "", "")', 0, 0)
    asked.ask("vector(2)", 0, 15_000)
    assert asked.cache.facts()["bytes"] > 4 * before + 150_000 + 1_000 * (8 + CELL_BYTES)


def test_an_entry_holds_nothing_but_its_answer():
    """A part of an entry is not kept beside it; texts of the query go with the query."""
    asked = Asked(MemorySource())
    asked.source.add({"__name__": "x"}, [(300_000, 1.0)])
    asked.ask("x", 300, 900)
    before = asked.cache.facts()
    asked.ask("x", 300, 330)
    assert asked.cache.facts() == {**before, "hits": 1}
    texts = weakref.ref(asked.source.texts)
    asked.source = MemorySource()
    gc.collect()
    assert texts() is None


def test_symbols_that_a_query_does_not_know(asked):
    """Their texts may be among those that the query makes: an earlier query leaves the entry of a later one alone."""
    request = CacheRequest("x", 0, 15_000, 15_000, LOOKBACK_MS, "auto")
    cache, texts = RangeCache(1_000_000, 100), OwnTexts()
    labels = label_rows(texts, [{"a": "b"}])

    def evaluate(_start_ms: int) -> QueryResult:
        row = Vector(labels, np.ones((1, 2)), np.ones((1, 2), np.uint8))
        return QueryResult("matrix", request.steps.at_ms, vector=row)

    for symbol_total, hits in ((5, 0), (5, 1), (0, 1), (1, 2)):
        world = World(asked.index, texts, 0, 0, lambda _mark: NEVER_MS, symbol_total)
        cache.answer(request, world, evaluate, lambda _taken: None, lambda: True)
        assert cache.facts()["hits"] == hits
