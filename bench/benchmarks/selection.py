"""``_fast/selection``: rows of some series and times out of a sorted block."""

from benchmarks import timed

from bench.workloads import Workload, selected


class Select(timed.Timed):
    """One series in a hundred, half the time."""

    def make(self, profile: str) -> Workload:
        """A block of four million rows."""
        return selected(profile)
