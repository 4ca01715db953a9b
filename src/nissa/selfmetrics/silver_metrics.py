"""Metrics of rollups and the janitor: facts of the section ``silver`` in the status."""

from typing import Final

from nissa.selfmetrics.metric import Kind, Metric


def _silver(name: str, kind: Kind, help: str, path: str) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="status", path=f"silver.{path}")


SILVER: Final = (
    _silver("nissa_silver_flushes_total", "counter", "Flushes of rollups since start.", "flushes"),
    _silver("nissa_silver_rows_total", "counter", "Rows of rollups written since start, with repetitions.", "rows"),
    _silver(
        "nissa_silver_failures_total", "counter", "Flushes and runs of the janitor that failed since start.", "failures"
    ),
    _silver(
        "nissa_silver_series_left_out_total",
        "counter",
        "Series left out of flushes since start because of silver.keys_max.",
        "keys_left_out",
    ),
    _silver("nissa_silver_rows_deleted_total", "counter", "Rows that the janitor deleted since start.", "deleted"),
    _silver("nissa_silver_combinations", "gauge", "Combinations of tags in the database.", "combinations"),
)
