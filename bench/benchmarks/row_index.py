"""``_fast/row_index``: an index of rows by series, and the rows of some of them."""

from benchmarks import timed

from bench.workloads import Workload, indexed


class Index(timed.Timed):
    """One series in a hundred, all of its rows."""

    def make(self, profile: str) -> Workload:
        """A head of four million rows."""
        return indexed(profile)
