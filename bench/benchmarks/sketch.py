"""``_fast/sketch``: values counted, sketches merged, quantiles asked for."""

from benchmarks import timed

from bench.ladder_workloads import SPREADS, added, asked, merged
from bench.workloads import Workload


class Add(timed.Timed):
    """Counting values."""

    params = list(SPREADS)

    def make(self, profile: str) -> Workload:
        """Rows of values."""
        return added(profile)


class Merge(timed.Timed):
    """Merging sketches."""

    params = list(SPREADS)

    def make(self, profile: str) -> Workload:
        """Sketches of rows."""
        return merged(profile)


class Quantiles(timed.Timed):
    """Three quantiles of each."""

    params = list(SPREADS)

    def make(self, profile: str) -> Workload:
        """Sketches of rows."""
        return asked(profile)
