"""The one registry: all of the catalogue, in both directions."""

from prometheus_client.parser import text_string_to_metric_families

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.selfmetrics.catalogue import CATALOGUE
from nissa.selfmetrics.cells import HttpCells
from nissa.selfmetrics.registry import Registry


def test_all_of_the_catalogue_is_exposed() -> None:
    """GET /metrics describes every metric of the catalogue, the process' own included, and nothing else."""
    _, body = Registry(dict, HttpCells(), dict).expose("", "")
    families = list(text_string_to_metric_families(body.decode()))
    exposed = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert exposed == {metric.name for metric in CATALOGUE}
    for metric in CATALOGUE:
        if metric.origin != "process":
            family = next(family for family in families if family.name == metric.name.removesuffix("_total"))
            assert (family.type, family.documentation) == (metric.kind, metric.help)


def test_what_is_ingested_is_what_is_exposed() -> None:
    """The frame for self-ingestion holds the same series as a scrape."""
    registry = Registry(lambda: {"mode": "ready", "uptime_ms": 5}, HttpCells(), dict)
    _, body = registry.expose("", "")
    scraped = {sample.name for family in text_string_to_metric_families(body.decode()) for sample in family.samples}
    request = WriteRequest.FromString(registry.self_frame(9).body)
    ingested = {label.value for series in request.timeseries for label in series.labels if label.name == "__name__"}
    assert ingested == scraped


def test_a_new_registry_asks_nobody() -> None:
    """Building the registry reads nothing: the engine may not be there yet."""

    def absent() -> dict[str, object]:
        raise AssertionError("read at registration")

    Registry(absent, HttpCells(), absent)  # type: ignore[arg-type]
