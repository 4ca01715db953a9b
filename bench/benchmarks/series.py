"""``_fast/series``: rebuilding the index from disk, selecting, sweeping. Look-ups are measured with the decoders."""

from benchmarks import timed

from bench.workloads import Workload, filtered, restored, swept


class Restore(timed.Timed):
    """Restoring the series index at a start."""

    def make(self, profile: str) -> Workload:
        """All series of a profile."""
        return restored(profile)


class Filter(timed.Timed):
    """Two label conditions over every series."""

    def make(self, profile: str) -> Workload:
        """All series of a profile."""
        return filtered(profile)


class Sweep(timed.Timed):
    """The idle sweep, once a minute on the engine thread."""

    def make(self, profile: str) -> Workload:
        """All series of a profile, none idle."""
        return swept(profile)
