"""Slices: how many series are evaluated at a time, by cells, rows and samples, and that it does not show."""

import numpy as np
import pytest

from nissa.model.matcher import Selector
from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.limits import ExecutionFailed, Limits
from nissa.promql.memory_source import MemorySource
from nissa.promql.slices import ROWS_PER_SLICE_MAX, SAMPLES_PER_SLICE, slices_of
from nissa.promql.source import Columns, Selected


@pytest.fixture
def source() -> MemorySource:
    """Four counters of two jobs, a sample each 15 s."""
    source = MemorySource()
    for number in range(4):
        labels = {"__name__": "x_total", "job": "ab"[number % 2], "instance": str(number)}
        source.add(labels, [(at * 15_000, float(at * (number + 1))) for at in range(100)])
    return source


def test_slices_follow_the_bound_that_is_met_first() -> None:
    """Whole where everything fits; else by rows, by cells, or by samples, one row at least."""
    few = np.arange(11, dtype=np.float64)
    assert slices_of(1, few, 10**9) == [(0, 10)]
    assert slices_of(500_000, few, 10**9) == [(0, 4), (4, 8), (8, 10)]
    assert slices_of(1, few * 1e6, 10**9) == [(0, 4), (4, 8), (8, 10)]
    assert slices_of(1, few * 1e6, 8_000_000) == [(at, at + 2) for at in range(0, 10, 2)]
    assert slices_of(1, few * 2 * SAMPLES_PER_SLICE, 10**9) == [(at, at + 1) for at in range(10)]
    assert slices_of(1, np.zeros(ROWS_PER_SLICE_MAX + 2), 10**9)[-1] == (ROWS_PER_SLICE_MAX, ROWS_PER_SLICE_MAX + 1)
    assert slices_of(1, np.zeros(1), 10**9) == [(0, 0)]


def test_slices_give_the_same(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aggregations over slices of one series are those over all series at once."""
    expressions = [f"{name} by (job) (rate(x_total[1m]))" for name in ("sum", "avg", "max", "count", "stddev")]
    expressions += ["topk(1, x_total)", "bottomk by (job) (1, x_total * 2)"]
    expressions += ["-x_total", "quantile_over_time(0.3, x_total[2m])", "quantile(0.5, x_total)"]
    whole = [evaluate_range(source, text, 0, 600_000, 60_000).vector for text in expressions]
    monkeypatch.setattr("nissa.promql.slices.ROWS_PER_SLICE_MAX", 1)
    for text, before in zip(expressions, whole, strict=True):
        after = evaluate_range(source, text, 0, 600_000, 60_000).vector
        assert (after.values == before.values).all(), text
        assert (after.present == before.present).all(), text


def test_slices_are_bounded_by_samples(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query over many samples per series reads as many series at a time as fit, and answers all the same."""
    reads: list[int] = []
    select = source.select

    def counted(matchers: Selector) -> Selected:
        found = select(matchers)
        read = found.read

        def noted(*arguments: int) -> Columns:
            columns = read(*arguments)
            reads.append(len(columns.ts_ms))
            return columns

        found.read = noted
        return found

    monkeypatch.setattr(source, "select", counted)
    for text in ("sum by (job) (rate(x_total[20m]))", "rate(x_total[20m])", "topk(1, max_over_time(x_total[20m]))"):
        whole = evaluate_instant(source, text, 1_200_000).vector
        assert reads == [4 * 80]
        reads.clear()
        sliced = evaluate_instant(source, text, 1_200_000, limits=Limits(samples_max=4 * 200)).vector
        assert (sliced.values.tolist(), reads) == (whole.values.tolist(), [2 * 80, 2 * 80])
        reads.clear()
    with pytest.raises(ExecutionFailed, match="too many samples"):
        evaluate_instant(source, "rate(x_total[20m])", 1_200_000, limits=Limits(samples_max=70))
