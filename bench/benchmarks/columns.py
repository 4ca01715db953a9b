"""``_fast/columns``: four million rows of a head sorted and resolved."""

from benchmarks import timed

from bench.workloads import Workload, sorted_head


class Rounds(timed.Timed):
    """Round after round of all series, as heads are."""

    def make(self, profile: str) -> Workload:
        """A head in order of arrival."""
        return sorted_head(profile, "rounds")


class Sorted(timed.Timed):
    """Already in order."""

    def make(self, profile: str) -> Workload:
        """A head sorted before."""
        return sorted_head(profile, "sorted")


class Shuffled(timed.Timed):
    """In no order at all."""

    def make(self, profile: str) -> Workload:
        """A head at random."""
        return sorted_head(profile, "shuffled")
