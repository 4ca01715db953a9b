"""``_fast/influx``: InfluxDB lines of 10 fields to rows in the head."""

from benchmarks import timed

from bench.workloads import Workload, influx_known

FIELDS = {"small": 1, "large": 10, "million": 100}  # per line


class Known(timed.Timed):
    """Every series known; the profile is how many fields a line has."""

    def make(self, profile: str) -> Workload:
        """Ten bodies of 1,000 lines."""
        return influx_known(FIELDS[profile])
