"""Samples that a query looks at, as Prometheus counts them for ``stats``: step by step, a sample again at each step.

    x            1 per series and step that has a value
    x[5m]        the samples in the window, at each step; of a subquery its values, not what they were made of
    x @ 100      looked at once, counted at each step

Windows of tiers do not count as samples. Counting costs a pass over the windows, so it is done only on request.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from nissa._fast.windows import over_windows
from nissa.promql.context import Windows
from nissa.promql.values import Present, TimeColumn


class SampleCounts:
    """The counts of one evaluation. by_step: int64 (steps,)."""

    def __init__(self, steps: int, *, wanted: bool) -> None:
        self.by_step: TimeColumn = np.zeros(steps, np.int64)
        self._wanted = wanted

    def add_present(self, present: Present) -> None:
        """Values of a selector, series × steps; of one step, they count at every step."""
        if self._wanted:
            self.by_step += np.count_nonzero(present, axis=0)

    def add_windows(self, windows: Windows) -> None:
        """Samples in the windows of a range."""
        if self._wanted:
            at_ms = np.ascontiguousarray(windows.at_ms)
            counts, _ = over_windows("count", windows.columns, at_ms, windows.range_ms)
            counts[:, : windows.samples_from] = 0
            self.by_step += counts.sum(axis=0).astype(np.int64)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A stretch of evaluation that counts nothing: a subquery's values count where they are looked at."""
        wanted, self._wanted = self._wanted, False
        try:
            yield
        finally:
            self._wanted = wanted
