"""Reads the catalogue's values from where they live and gives them to prometheus-client as families.

Nothing is counted here: each value has one home (the engine's status, the tallies, the endpoint's cells) and is read
when somebody asks. A status value that is not there is left out, not shown as 0.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from nissa.model.tally import Tallies
from nissa.selfmetrics.catalogue import CATALOGUE, Metric
from nissa.selfmetrics.cells import Histogram, HttpCells

Status = Callable[[], Mapping[str, Any]]
Accounting = Callable[[], Tallies]
Row = tuple[tuple[str, ...], float]

_BREAKER_CLOSED: Final = 0
_BREAKER_OPEN: Final = 1
_OUTCOMES: Final = ("stored", "duplicate", "quarantined")
_OF_THE_PROCESS: Final = "process"


class NissaCollector(Collector):
    """All metrics of the catalogue but those of the process."""

    def __init__(self, status: Status, accounting: Accounting, cells: HttpCells) -> None:
        self._status = status
        self._accounting = accounting
        self._cells = cells

    def describe(self) -> list[Family]:
        """No families: prometheus-client would else collect at registration, before there is an engine to ask."""
        return []

    def collect(self) -> Iterator[Family]:
        """Every metric, with what it is worth now."""
        status, tallies = self._status(), self._accounting()
        for metric in CATALOGUE:
            if metric.origin == "status":
                yield _family(metric, _status_rows(metric, status))
            elif metric.origin == "tier":
                yield _family(metric, _tier_rows(metric, status))
            elif metric.origin == "tally":
                yield _family(metric, _tally_rows(metric, tallies))
            elif metric.kind == "histogram":
                yield _histogram(metric, getattr(self._cells, metric.path))
            elif metric.origin != _OF_THE_PROCESS:
                yield _family(metric, _cell_rows(metric, getattr(self._cells, metric.path)))


def _status_rows(metric: Metric, status: Mapping[str, Any]) -> list[Row]:
    value: Any = status
    for key in metric.path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if metric.name == "nissa_breaker_state":
        return [(("ingest",), _BREAKER_CLOSED if value == "ready" else _BREAKER_OPEN)]
    if metric.name == "nissa_alerts_active" and value is None:
        return [((), 0)]  # nothing evaluates rules: nothing can be firing
    if isinstance(value, Mapping):
        return [((key,), count * metric.scale) for key, count in sorted(value.items())]
    return [] if value is None else [((), value * metric.scale)]


def _tier_rows(metric: Metric, status: Mapping[str, Any]) -> list[Row]:
    tiers: Mapping[str, Mapping[str, Any]] = status.get("ladder", {}).get("tiers", {})
    return [((tier,), (facts.get(metric.path) or 0) * metric.scale) for tier, facts in tiers.items()]


def _tally_rows(metric: Metric, tallies: Tallies) -> list[Row]:
    rows: list[Row] = []
    for source, tally in sorted(tallies.items()):
        if metric.path:
            rows.append(((source,), getattr(tally, metric.path)))
        elif metric.name == "nissa_ingest_refused_total":
            rows += [((source, reason), count) for reason, count in sorted(tally.refused.items())]
        else:
            rows += [((source, outcome), getattr(tally, outcome)) for outcome in _OUTCOMES]
    return rows


def _cell_rows(metric: Metric, cell: Any) -> list[Row]:
    if not metric.labels:
        return [((), cell)]
    # A copy first: the loop may add a key while we read.
    rows = [(key if isinstance(key, tuple) else (key,), count) for key, count in cell.copy().items()]
    return sorted((tuple(str(word) for word in key), count) for key, count in rows)


def _family(metric: Metric, rows: list[Row]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    for labels, value in rows:
        family.add_metric(labels, float(value))
    return family


def _histogram(metric: Metric, cell: Histogram) -> Family:
    counts = list(accumulate(cell.counts))
    bounds = [*(str(bound) for bound in cell.bounds), "+Inf"]
    family = HistogramMetricFamily(metric.name, metric.help, unit=metric.unit)
    family.add_metric((), list(zip(bounds, map(float, counts), strict=True)), cell.sum)
    return family
