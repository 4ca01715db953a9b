"""Samples counted by step; ``test_differential.py`` compares them with Prometheus."""

from nissa.promql.evaluate import evaluate_range
from nissa.promql.memory_source import MemorySource


def test_samples_are_counted_at_each_step(source: MemorySource) -> None:
    """With statistics: values of selectors, samples in windows, and values of subqueries in theirs are counted."""
    expected = {
        "x_total + x_total": [8, 8, 8],
        "rate(x_total[1m])": [4 * 4] * 3,
        "x_total + on (job, instance) x_total @ 100": [8, 8, 8],
        "max_over_time(rate(x_total[1m])[2m:30s])": [4 * 4] * 3,
        "1": [0, 0, 0],
    }
    for text, counts in expected.items():
        answer = evaluate_range(source, text, 300_000, 420_000, 60_000, stats=True)
        assert answer.samples_by_step.tolist() == counts, text
        assert answer.samples_peak >= (4 if "x" in text else 0)
    assert not evaluate_range(source, "x_total", 0, 60_000, 60_000).samples_by_step.any()
