"""Answers as JSON, read back and compared."""

import json
import math

from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.format import answer_json
from nissa.promql.memory_source import MemorySource
from nissa.promql.values import QueryResult


def data_of(answer: QueryResult) -> dict[str, object]:
    """The JSON read."""
    return json.loads(b"".join(answer_json(answer)))


def source() -> MemorySource:
    """Two series, one with a gap, a NaN and an infinity."""
    source = MemorySource()
    source.add({"__name__": "x", "é": '"'}, [(1_500, 0.1), (61_500, math.nan), (661_500, math.inf)])
    source.add({"__name__": "y"}, [(0, 1e-7)])
    return source


def test_matrices_have_the_points_that_are_there() -> None:
    """Times are seconds with milliseconds, values text; a gap leaves its points out."""
    data = data_of(evaluate_range(source(), "x", 1_500, 661_500, 60_000))
    assert data["resultType"] == "matrix"
    (series,) = data["result"]
    assert series["metric"] == {"__name__": "x", "é": '"'}
    times = [time for time, _ in series["values"]]
    assert times == [1.5, *(61.5 + 60 * step for step in range(5)), 661.5]
    assert [value for _, value in series["values"]] == ["0.1", *["NaN"] * 5, "+Inf"]


def test_every_kind_has_its_form() -> None:
    """Vectors have one value per series, scalars and strings a single one, ranges their samples."""
    assert data_of(evaluate_instant(source(), "y", 0)) == {
        "resultType": "vector",
        "result": [{"metric": {"__name__": "y"}, "value": [0, "1e-07"]}],
    }
    assert data_of(evaluate_instant(source(), "1.5", -1)) == {"resultType": "scalar", "result": [-0.001, "1.5"]}
    assert data_of(evaluate_instant(source(), '"a,b"', 2_000)) == {"resultType": "string", "result": [2, "a,b"]}
    assert data_of(evaluate_instant(source(), "x[2m]", 61_500))["result"][0]["values"] == [[1.5, "0.1"], [61.5, "NaN"]]
    assert data_of(evaluate_instant(source(), "nothing", 0)) == {"resultType": "vector", "result": []}


def test_large_answers_come_in_pieces() -> None:
    """An answer of many series is handed out in several pieces that are one JSON text together."""
    many = MemorySource()
    for number in range(9_000):
        many.add({"__name__": "x", "number": str(number)}, [(0, number / 7)])
    answer = evaluate_instant(many, "x", 0)
    assert len(list(answer_json(answer))) > 5
    result = data_of(answer)["result"]
    assert [float(series["value"][1]) for series in result] == [number / 7 for number in range(9_000)]
