"""``_fast/leyline``: TelemetryPackets of 64 metrics to rows in the head."""

from benchmarks import timed

from bench.workloads import Workload, leyline_known

PACKETS = {"small": 1, "large": 32, "million": 512}  # per request


class Known(timed.Timed):
    """Every series known; the profile is how many packets come in one body."""

    def make(self, profile: str) -> Workload:
        """Fifty bodies."""
        return leyline_known(PACKETS[profile])
