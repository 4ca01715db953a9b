"""``_fast/exposition``: pages of node_exporters to rows of a batch."""

from benchmarks import timed

from bench.workloads import Workload, exposition_known

TARGETS = {"small": 1, "large": 10, "million": 100}


class Known(timed.Timed):
    """Every series known; the profile is how many targets there are."""

    def make(self, profile: str) -> Workload:
        """A page of each target."""
        return exposition_known(TARGETS[profile])
