"""Collects the values of the catalogue's metrics for prometheus-client.

Nothing is counted here: values are read from the engine's status, the counters by source and the cells of the ingest
port at each scrape. A missing status value is left out, not shown as 0.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, Final

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from nissa.model.counters import Tallies
from nissa.selfmetrics.catalogue import CATALOGUE
from nissa.selfmetrics.cells import Histogram, HttpCells
from nissa.selfmetrics.metric import Metric

Status = Callable[[], Mapping[str, Any]]
Accounting = Callable[[], Tallies]
Row = tuple[tuple[str, ...], float]
Reading = tuple[Metric, list[Row]]

_BREAKER_OPEN: Final = 1
_OUTCOMES: Final = ("stored", "duplicate")
_OF_THE_PROCESS: Final = "process"


def _former(metric: Metric) -> Metric | None:
    """A metric under the name it had before."""
    if not metric.former:
        return None
    return msgspec.structs.replace(metric, name=metric.former, help=f"Deprecated, removed in 0.2: use {metric.name}.")


_READ: Final = tuple(
    (metric, _former(metric)) for metric in CATALOGUE if metric.origin != _OF_THE_PROCESS and metric.kind != "histogram"
)


class NissaCollector(Collector):
    """All metrics of the catalogue but those of the process."""

    def __init__(self, status: Status, accounting: Accounting, cells: HttpCells) -> None:
        """Collects all metrics of the catalogue except those of the process.

        status: returns the status of the engine. accounting: returns counters by source. cells: counters of the ingest
        port.
        """
        self._status = status
        self._accounting = accounting
        self._cells = cells
        self.histograms = HistogramCollector(cells)

    def describe(self) -> list[Family]:
        """No families: prometheus-client would else collect at registration, before there is an engine to ask."""
        return []

    def collect(self) -> Iterator[Family]:
        """Every metric with its current values."""
        for metric, rows in self.readings():
            yield family_of(metric, rows)
        yield from self.histograms.collect()

    def readings(self) -> Iterator[Reading]:
        """Every metric that is no histogram, with its current values."""
        status, counters = self._status(), self._accounting()
        for metric, former in _READ:
            rows = self._rows(metric, status, counters)
            yield metric, rows
            if former is not None:
                yield former, rows

    def _rows(self, metric: Metric, status: Mapping[str, Any], counters: Tallies) -> list[Row]:
        if metric.origin == "status":
            return _status_rows(metric, status)
        if metric.origin == "tier":
            return _tier_rows(metric, status)
        if metric.origin == "source":
            return _named_rows(metric, status.get("sources", {}))
        if metric.origin == "sink":
            return _named_rows(metric, status.get("sinks", {}))
        if metric.origin == "breaker":
            return _breaker_rows(metric, status)
        if metric.origin == "shed":
            return _shed_rows(status)
        if metric.origin == "counters":
            return _counter_rows(metric, counters)
        return _cell_rows(metric, getattr(self._cells, metric.path))


@cache
def _keys(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _status_rows(metric: Metric, status: Mapping[str, Any]) -> list[Row]:
    value: Any = status
    for key in _keys(metric.path):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, dict):
        return [((key,), count * metric.scale) for key, count in sorted(value.items())]
    return [] if value is None else [((), value * metric.scale)]


def _tier_rows(metric: Metric, status: Mapping[str, Any]) -> list[Row]:
    tiers: Mapping[str, Mapping[str, Any]] = status.get("ladder", {}).get("tiers", {})
    return [((tier,), (facts.get(metric.path) or 0) * metric.scale) for tier, facts in tiers.items()]


def _named_rows(metric: Metric, named: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Rows of the sources or sinks that have the fact: each kind has facts of its own."""
    facts = [(name, found.get(metric.path)) for name, found in sorted(named.items())]
    rows: list[Row] = []
    for name, value in facts:
        if isinstance(value, dict):
            rows += [((name, key), count * metric.scale) for key, count in sorted(value.items())]
        elif value is not None:
            rows.append(((name,), value * metric.scale))
    return rows


def _breaker_rows(metric: Metric, status: Mapping[str, Any]) -> list[Row]:
    """A row per breaker. While the engine stores nothing, that of ingestion is shown as open: frames are refused."""
    breakers: Mapping[str, Mapping[str, Any]] = status.get("breakers", {})
    rows = {name: facts[metric.path] for name, facts in sorted(breakers.items())}
    if metric.name == "nissa_breaker_state" and status.get("mode") == "read_only":
        rows["ingest"] = rows.get("ingest") or _BREAKER_OPEN
    return [((name,), value) for name, value in rows.items()]


def _shed_rows(status: Mapping[str, Any]) -> list[Row]:
    shed: Mapping[str, Mapping[str, Mapping[str, int]]] = status.get("safeguards", {}).get("shed", {})
    return [
        ((source, priority, reason), count)
        for source, priorities in shed.items()
        for priority, reasons in priorities.items()
        for reason, count in reasons.items()
    ]


def _counter_rows(metric: Metric, tallies: Tallies) -> list[Row]:
    rows: list[Row] = []
    for source, counters in sorted(tallies.items()):
        if metric.path:
            rows.append(((source,), getattr(counters, metric.path)))
        elif metric.name == "nissa_ingest_refused_total":
            rows += [((source, reason), count) for reason, count in sorted(counters.refused.items())]
        else:
            rows += [((source, outcome), getattr(counters, outcome)) for outcome in _OUTCOMES]
    return rows


def _cell_rows(metric: Metric, cell: Any) -> list[Row]:
    if not metric.labels:
        return [((), cell)]
    # A copy first: the loop may add a key while we read.
    rows = [(key if isinstance(key, tuple) else (key,), count) for key, count in cell.copy().items()]
    return sorted((tuple(str(word) for word in key), count) for key, count in rows)


class HistogramCollector(Collector):
    """The histograms of the catalogue."""

    def __init__(self, cells: HttpCells) -> None:
        self._cells = cells

    def collect(self) -> Iterator[Family]:
        """Every histogram, with its counts of now."""
        for metric in CATALOGUE:
            if metric.kind == "histogram":
                yield _histogram(metric, getattr(self._cells, metric.path))


def family_of(metric: Metric, rows: Sequence[Row]) -> Family:
    """The family of a metric of the catalogue. rows: values of its labels, and the number that each is worth."""
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
