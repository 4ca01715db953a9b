"""Data that several tests of PromQL ask."""

import pytest

from nissa.promql.memory_source import MemorySource


@pytest.fixture
def source() -> MemorySource:
    """Four counters of two jobs, a sample each 15 s."""
    source = MemorySource()
    for number in range(4):
        labels = {"__name__": "x_total", "job": "ab"[number % 2], "instance": str(number)}
        source.add(labels, [(at * 15_000, float(at * (number + 1))) for at in range(100)])
    return source
