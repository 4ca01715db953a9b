"""``_fast/columns``: four million rows of a head sorted and resolved."""

from benchmarks.timed import Timed

from bench.workloads import Workload, sorted_head


class Rounds(Timed):
    """Round after round of all series, as heads are."""

    def make(self, profile: str) -> Workload:
        """A head in order of arrival."""
        return sorted_head(profile, "rounds")


class Sorted(Timed):
    """Already in order."""

    def make(self, profile: str) -> Workload:
        """A head sorted before."""
        return sorted_head(profile, "sorted")


class Shuffled(Timed):
    """In no order at all."""

    def make(self, profile: str) -> Workload:
        """A head at random."""
        return sorted_head(profile, "shuffled")
