"""``_fast/statsd``: lines of known heads added to their meters."""

from benchmarks import timed

from bench.workloads import Workload, statsd_known

LINES = {"small": 1, "large": 20, "million": 100}  # per packet


class Known(timed.Timed):
    """Every head known; the profile is how many lines a packet has."""

    def make(self, profile: str) -> Workload:
        """100,000 lines."""
        return statsd_known(LINES[profile])
