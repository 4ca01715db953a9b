"""The catalogue's values, read from where they live."""

from typing import Any

from prometheus_client.registry import CollectorRegistry

from nissa.model.counters import Counters
from nissa.selfmetrics.catalogue import CATALOGUE
from nissa.selfmetrics.cells import HttpCells
from nissa.selfmetrics.collector import NissaCollector

STATUS = {"mode": "ready", "uptime_ms": 1_500, "queue": {"frames": 2, "bytes": 30}, "journal": {"commits": 7}}


def registry_of(status: dict[str, Any], cells: HttpCells, tallies: dict[str, Counters]) -> CollectorRegistry:
    """A registry of the collector alone."""
    registry = CollectorRegistry()
    registry.register(NissaCollector(lambda: status, lambda: tallies, cells))
    return registry


def test_status_is_read_by_path_and_scaled() -> None:
    """Values come from the engine's status, in base units; metrics without a value are left out."""
    registry = registry_of(STATUS, HttpCells(), {})
    assert registry.get_sample_value("nissa_uptime_seconds") == 1.5
    assert registry.get_sample_value("nissa_queue_bytes") == 30
    assert registry.get_sample_value("nissa_journal_commits_total") == 7
    assert registry.get_sample_value("nissa_series") is None


def test_counts_by_name_become_a_series_each() -> None:
    """Counts by name in the status, a word of Nissa's or of its settings, become series with that word as a label."""
    registry = registry_of({"events": {"redacted": {"email": 3, "card": 1}}}, HttpCells(), {})
    assert registry.get_sample_value("nissa_events_redacted_total", {"rule": "email"}) == 3
    assert registry.get_sample_value("nissa_events_redacted_total", {"rule": "card"}) == 1


def test_counts_of_a_sink_by_route_become_a_series_each() -> None:
    """Each route of each sink has a series of its own."""
    registry = registry_of({"sinks": {"a": {"left_out": {"noise": 3, "audit": 1}}, "b": {}}}, HttpCells(), {})
    name = "nissa_sink_route_left_out_events_total"
    assert registry.get_sample_value(name, {"sink": "a", "route": "noise"}) == 3
    assert registry.get_sample_value(name, {"sink": "a", "route": "audit"}) == 1


def test_breakers() -> None:
    """Each breaker has its state and counts; that of ingestion counts as open while the engine only reads."""
    facts = {"gauge": 0, "opened": 4, "failures": 9, "refused": 5}
    breakers = {"ingest": facts, "oona": {**facts, "gauge": 2}}
    for mode, ingest in (("ready", 0), ("read_only", 1)):
        registry = registry_of({"mode": mode, "breakers": breakers}, HttpCells(), {})
        assert registry.get_sample_value("nissa_breaker_state", {"breaker": "ingest"}) == ingest
        assert registry.get_sample_value("nissa_breaker_state", {"breaker": "oona"}) == 2
        assert registry.get_sample_value("nissa_breaker_opened_total", {"breaker": "oona"}) == 4


def test_tallies_become_series_per_source() -> None:
    """Each source's balance can be added up from its series."""
    counters = Counters(frames=2, received=10, stored=4, duplicate=3, refused={"too_old": 2, "too_new": 1})
    registry = registry_of({}, HttpCells(), {"http/remote_write_1": counters})
    source = {"source": "http/remote_write_1"}
    spent = [
        registry.get_sample_value("nissa_ingest_samples_total", source | {"outcome": outcome})
        for outcome in ("stored", "duplicate")
    ] + [
        registry.get_sample_value("nissa_ingest_refused_total", source | {"reason": reason})
        for reason in ("too_old", "too_new")
    ]
    assert spent == [4, 3, 2, 1]
    assert registry.get_sample_value("nissa_ingest_received_total", source) == sum(map(float, spent))
    assert registry.get_sample_value("nissa_ingest_unaccounted", source) == 0


def test_former_names_are_exposed_beside_the_new_ones() -> None:
    """A renamed metric keeps its former name for one version, marked as deprecated."""
    registry = registry_of({}, HttpCells(), {"a": Counters(received=3)})
    source = {"source": "a"}
    assert registry.get_sample_value("nissa_ingest_unaccounted", source) == 3
    assert registry.get_sample_value("nissa_ingest_residue", source) == 3
    (former,) = (family for family in registry.collect() if family.name == "nissa_ingest_residue")
    assert former.documentation == "Deprecated, removed in 0.2: use nissa_ingest_unaccounted."


def test_cells_are_shown() -> None:
    """Counters of the endpoint have their labels, and its histogram adds up."""
    cells = HttpCells()
    cells.requests["/metrics", 200] += 5
    cells.timeouts["body"] += 1
    for value in (0.0005, 0.004, 0.004, 99.0):
        cells.latency.observe(value)
    registry = registry_of({}, cells, {})
    assert registry.get_sample_value("nissa_http_requests_total", {"path": "/metrics", "code": "200"}) == 5
    assert registry.get_sample_value("nissa_http_timeouts_total", {"phase": "body"}) == 1
    buckets = [
        registry.get_sample_value("nissa_ingest_latency_seconds_bucket", {"le": bound})
        for bound in ("0.001", "0.0025", "0.005", "10.0", "+Inf")
    ]
    assert buckets == [1, 1, 3, 3, 4]
    assert registry.get_sample_value("nissa_ingest_latency_seconds_count") == 4


def test_every_metric_is_collected() -> None:
    """The catalogue has no name that is never exposed, and nothing else is."""
    collector = NissaCollector(lambda: STATUS, dict, HttpCells())
    suffixed = {f"{family.name}_total" if family.type == "counter" else family.name for family in collector.collect()}
    former = {metric.former for metric in CATALOGUE if metric.former}
    assert suffixed == {metric.name for metric in CATALOGUE if metric.origin != "process"} | former
