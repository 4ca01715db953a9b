"""Times a Workload under asv: CPU time of the run, and nanoseconds per sample tracked from the same figure."""

import abc
import sys
import time
from pathlib import Path

# asv puts bench/ on the path; workloads come from the root, and bench/profile.py must not hide the standard one.
_BENCH = Path(__file__).parents[1]
sys.path[:] = [str(_BENCH.parent), *(entry for entry in sys.path if entry != str(_BENCH))]

from bench.workloads import PROFILES, Workload, cpu_s  # noqa: E402  the path stands above

PROFILE_NAMES = list(PROFILES)
TRACK_REPEATS = 5


class Timed(abc.ABC):
    """A suite of one Workload per profile. Subclasses say how it is made."""

    params = PROFILE_NAMES
    param_names = ["profile"]
    timer = staticmethod(time.process_time)
    warmup_time = 0.0  # setup runs the workload once
    number = 1
    workload: Workload

    @abc.abstractmethod
    def make(self, profile: str) -> Workload:
        """The Workload of a profile."""

    def setup(self, profile: str) -> None:
        """Made and run once before it is timed."""
        self.workload = self.make(profile)
        self.workload.run()

    def time_run(self, profile: str) -> None:
        """CPU seconds of one run."""
        self.workload.run()

    def track_ns_each(self, profile: str) -> float:
        """CPU nanoseconds per sample, row or series."""
        return cpu_s(self.workload.run, TRACK_REPEATS) / self.workload.count * 1e9

    track_ns_each.unit = "ns"  # type: ignore[attr-defined]
