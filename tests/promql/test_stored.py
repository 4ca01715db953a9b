"""A data directory as a source: blocks and journal answer as samples in memory do."""

from pathlib import Path

import pytest

import nissa
from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.model.frame import Codec
from nissa.promql.evaluate import evaluate_range
from nissa.promql.memory_source import MemorySource
from nissa.promql.values import QueryResult
from nissa.service.clock import wall_ms
from oracle.promqltest import STALE, values_of

EXPRESSIONS = [
    "x_total",
    "sum by (job) (rate(x_total[30s]))",
    'x_total{instance=~"1|7"} * on(instance) group_left y',
    'label_replace(y, "made", "text-$1", "instance", "(.*)")',
    'count_values("n", y)',
    "-y or x_total",
    'y{instance="9999"}',
]


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Path, int, MemorySource]:
    """Twelve counters and gauges, half of their samples in a block; and the same in memory."""
    first_ms = wall_ms() - 600_000
    source = MemorySource()
    with nissa.Engine(tmp_path) as engine:
        for part in range(2):
            request = WriteRequest()
            for number in range(12):
                for name in ("x_total", "y"):
                    labels = {"__name__": name, "instance": str(number), "job": "ab"[number % 2]}
                    series = request.timeseries.add()
                    for pair in sorted(labels.items()):
                        series.labels.add(name=pair[0], value=pair[1])
                    for at in range(part * 20, part * 20 + 20):
                        value = STALE if at == 25 and number == 3 else float(at * number)
                        series.samples.add(value=value, timestamp=first_ms + at * 10_000)
                        source.add(labels, [(first_ms + at * 10_000, value)])
            engine.ingest(request.SerializeToString(), Codec.REMOTE_WRITE_1)
            if not part:
                engine.flush()
    return tmp_path, first_ms, source


def comparable(answer: QueryResult) -> list[tuple[tuple[tuple[str, str], ...], list[float | None]]]:
    """Series with their values, in order."""
    return values_of(answer)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_directory_answers_as_memory_does(filled: tuple[Path, int, MemorySource], expression: str) -> None:
    """Labels, values and order are those of the same samples in memory."""
    directory, first_ms, source = filled
    with nissa.open(directory) as reader:
        ours = reader.answer_range(expression, first_ms / 1000, (first_ms + 400_000) / 1000, "20s")
    theirs = evaluate_range(source, expression, first_ms, first_ms + 400_000, 20_000)
    assert comparable(ours) == comparable(theirs)
    assert expression.endswith('"9999"}') or comparable(ours)


def test_answers_are_tables(filled: tuple[Path, int, MemorySource]) -> None:
    """``query`` and ``query_range`` give Arrow tables of name, labels, timestamp and value."""
    directory, first_ms, _ = filled
    with nissa.open(directory) as reader:
        table = reader.query('x_total{instance="1"}', (first_ms + 390_000) / 1000)
        assert table.to_pylist()[0]["labels"] == '{"instance":"1","job":"b"}'
        assert (table["name"].to_pylist(), table["value"].to_pylist()) == (["x_total"], [39.0])
        assert reader.query("count(y)")["value"].to_pylist() == [12.0]
        spread = reader.query_range("sum by (job) (y)", first_ms / 1000, (first_ms + 100_000) / 1000, 50)
        assert spread.num_rows == 6
        assert spread["name"].null_count == 6
        assert reader.query("1 + 1")["value"].to_pylist() == [2.0]
        assert reader.query('"text"')["text"].to_pylist() == ["text"]
        assert reader.query("y[20s]").num_rows == 24
