"""``_fast/remote_write``: bodies of 2,000 series of 11 labels to rows in the head."""

from benchmarks import timed

from bench.workloads import Workload, remote_write_known, remote_write_new


class Known1(timed.Timed):
    """1.0, every series known."""

    def make(self, profile: str) -> Workload:
        """One round."""
        return remote_write_known(profile, 1)


class Known2(timed.Timed):
    """2.0, every series known."""

    def make(self, profile: str) -> Workload:
        """One round."""
        return remote_write_known(profile, 2)


class New1(timed.Timed):
    """1.0, every series new: parsing, symbols and registration are in it."""

    def make(self, profile: str) -> Workload:
        """One round into an empty index."""
        return remote_write_new(profile, 1)
