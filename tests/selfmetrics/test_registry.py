"""The one registry: all of the catalogue, in both directions."""

from prometheus_client.parser import text_string_to_metric_families

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.model.counters import Counters
from nissa.selfmetrics.catalogue import CATALOGUE
from nissa.selfmetrics.cells import HttpCells
from nissa.selfmetrics.registry import Registry


def test_all_of_the_catalogue_is_exposed() -> None:
    """GET /metrics describes every metric of the catalogue, the process' own included, and nothing else."""
    _, body = Registry(dict, HttpCells(), dict).expose("", "")
    families = list(text_string_to_metric_families(body.decode()))
    exposed = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    former = {metric.former for metric in CATALOGUE if metric.former}
    assert exposed == {metric.name for metric in CATALOGUE} | former
    for metric in CATALOGUE:
        if metric.origin != "process":
            family = next(family for family in families if family.name == metric.name.removesuffix("_total"))
            assert (family.type, family.documentation) == (metric.kind, metric.help)


def test_what_is_ingested_is_what_is_exposed() -> None:
    """The frame for self-ingestion has the same series with the same values as a scrape, also when it is made again."""
    status = {"mode": "ready", "uptime_ms": 5, "queue": {"frames": 2}, "events": {"redacted": {"email": 3, "card": 1}}}
    status |= {"sources": {"scrape": {"up": 1, "targets": 4}}, "ladder": {"tiers": {"1m": {"rows": 7}}}}
    registry = Registry(lambda: status, HttpCells(), lambda: {"http/influx": Counters(frames=3, stored=5)})
    _, body = registry.expose("", "")
    scraped = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    for now_ms in (9, 1_758_000_000_000, 1_758_000_001_000):
        ingested = {}
        for series in WriteRequest.FromString(registry.self_frame(now_ms).body).timeseries:
            labels = [(label.name, label.value) for label in series.labels]
            assert labels == sorted(labels)
            (sample,) = series.samples
            assert sample.timestamp == now_ms
            named = dict(labels)
            assert named.pop("job") == "nissa"
            ingested[(named.pop("__name__"), *sorted(named.items()))] = sample.value
        assert ingested.keys() == scraped.keys()
        same = {key for key, value in ingested.items() if value == scraped[key]}
        assert all(key[0].startswith("process_") for key in ingested.keys() - same)


def test_a_new_registry_asks_nobody() -> None:
    """Building the registry reads nothing: the engine may not be there yet."""

    def absent() -> dict[str, object]:
        raise AssertionError("read at registration")

    Registry(absent, HttpCells(), absent)  # type: ignore[arg-type]
