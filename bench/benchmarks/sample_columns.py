"""``_fast/sample_columns``: SampleColumns messages of 1,000 series to rows in the head."""

from benchmarks import timed

from bench.workloads import Workload, columns_known


class OneRound(timed.Timed):
    """One sample per series: the definitions weigh most."""

    def make(self, profile: str) -> Workload:
        """One round."""
        return columns_known(profile, 1)


class TenRounds(timed.Timed):
    """Ten samples per series."""

    def make(self, profile: str) -> Workload:
        """Ten rounds in each message."""
        return columns_known(profile, 10)
