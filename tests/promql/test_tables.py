"""Answers as Arrow tables."""

import orjson

from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.memory_source import MemorySource
from nissa.promql.tables import answer_table


def test_rows_are_the_values_that_are_there() -> None:
    """A table has a row per series and step with a value; warnings are its metadata."""
    source = MemorySource()
    source.add({"__name__": "x", "a": "b"}, [(0, 1.0), (60_000, 2.0)])
    source.add({"__name__": "y"}, [(600_000, 3.0)])
    table = answer_table(evaluate_range(source, '{__name__=~"x|y"}', 0, 600_000, 300_000))
    assert table["value"].to_pylist() == [1.0, 2.0, 3.0]
    assert table["name"].to_pylist() == ["x", "x", "y"]
    assert table["labels"].to_pylist() == ['{"a":"b"}', '{"a":"b"}', "{}"]
    table = answer_table(evaluate_instant(source, "rate(x[5m])", 60_000))
    assert len(orjson.loads(table.schema.metadata[b"nissa.infos"])) == 1
    assert answer_table(evaluate_instant(source, "nothing", 0)).num_rows == 0
