"""``_fast/batch``: the rows of decoded frames copied into the head."""

from benchmarks import timed

from bench.workloads import Workload, appended


class Append(timed.Timed):
    """Frames of 2,000 rows."""

    def make(self, profile: str) -> Workload:
        """As many frames as a profile has series."""
        return appended(profile)
