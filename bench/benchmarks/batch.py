"""``_fast/batch``: the rows of decoded frames copied into the head."""

from benchmarks.timed import Timed

from bench.workloads import Workload, appended


class Append(Timed):
    """Frames of 2,000 rows."""

    def make(self, profile: str) -> Workload:
        """As many frames as a profile has series."""
        return appended(profile)
