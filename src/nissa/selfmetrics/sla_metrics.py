"""Metrics of service level agreements: facts of the section ``sla`` in the status."""

from typing import Final

from nissa.selfmetrics.metric import Metric


def _sla(name: str, help: str, path: str) -> Metric:
    return Metric(name=name, kind="counter", help=help, origin="status", path=f"sla.{path}")


AGREEMENTS: Final = (
    _sla("nissa_sla_runs_total", "Looks for days without a snapshot since start.", "runs"),
    _sla("nissa_sla_snapshots_total", "Snapshots of service level agreements written since start.", "snapshots"),
    _sla(
        "nissa_sla_failures_total",
        "Definitions whose snapshots could not be written, and runs that failed, since start; they are repeated.",
        "failures",
    ),
)
