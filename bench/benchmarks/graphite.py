"""``_fast/graphite``: Graphite lines to rows in the head."""

from benchmarks import timed

from bench.workloads import Workload, graphite_known


class Known(timed.Timed):
    """Every series known, whatever the profile."""

    def make(self, profile: str) -> Workload:
        """One body of 10,000 lines."""
        return graphite_known()
