"""``_fast/otlp_metrics`` and ``_fast/otlp_logs``: OpenTelemetry's protocol to rows in the head, and to events."""

from benchmarks import timed

from bench.otlp_workloads import otlp_logs, otlp_metrics_known
from bench.workloads import Workload

PROCESSES = {"small": 10, "large": 100, "million": 1_000}  # of 100 series each


class Known(timed.Timed):
    """Every series known; the profile is how many processes send."""

    def make(self, profile: str) -> Workload:
        """One body for each process."""
        return otlp_metrics_known(PROCESSES[profile])


class Logs(timed.Timed):
    """Records of 400 B; the profile is how many requests of 500."""

    def make(self, profile: str) -> Workload:
        """Requests of 500 records."""
        return otlp_logs(PROCESSES[profile])
