"""``_fast/rollup``: an hour of samples into windows of 1 m and 5 m with sketches, and those into windows of 1 h."""

from benchmarks import timed

from bench.ladder_workloads import HOURS, folded_samples, folded_windows
from bench.workloads import Workload


class Samples(timed.Timed):
    """Both intervals and the sketches in one walk."""

    params = list(HOURS)

    def make(self, profile: str) -> Workload:
        """An hour of samples."""
        return folded_samples(profile)


class SamplesWithoutSketches(timed.Timed):
    """The narrow windows alone."""

    params = list(HOURS)

    def make(self, profile: str) -> Workload:
        """An hour of samples."""
        return folded_samples(profile, 0)


class Windows(timed.Timed):
    """Up one tier."""

    params = list(HOURS)

    def make(self, profile: str) -> Workload:
        """An hour of windows."""
        return folded_windows(profile)
