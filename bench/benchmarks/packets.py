"""``_fast/packets``: nissa.v2 TelemetryPackets of 64 points to rows in the head."""

from benchmarks import timed

from bench.workloads import Workload, packets_known

PACKETS = {"small": 1, "large": 32, "million": 512}  # per request


class Known(timed.Timed):
    """Every series known; the profile is how many packets come in one body."""

    def make(self, profile: str) -> Workload:
        """Fifty bodies."""
        return packets_known(PACKETS[profile])
