"""Status, accounting and health, over HTTP."""

import msgspec

from nissa.api.status_routes import balance_sheet
from nissa.model.counters import Counters
from oracle.backend_twin import BackendTwin, regular

LABELS = [{"__name__": "up", "job": f"j{at % 3}", "instance": f"i{at}"} for at in range(9)] + [{"__name__": "down"}]


def test_status_tells_what_the_backend_says(serve):
    """Durability and mode in force, the version, and how busy the API is."""
    status = serve(BackendTwin(LABELS, regular(1, 1))).get("/api/status").json()
    assert (status["durability"], status["mode"], status["version"]) == ("fsync", "ready", "9.9.9")
    assert status["queries"]["refused"] == 0


def test_accounting_balances(serve):
    """Each source has the number of unaccounted records, and so does the sum of all."""
    data = serve(BackendTwin(LABELS, regular(1, 1))).get("/api/v1/accounting").json()["data"]
    source = data["sources"]["http/remote_write_1"]
    assert source["refused"] == {"too_old": 2}
    assert source["received"] == source["stored"] + source["duplicate"] + 2 == 9
    assert source["unaccounted"] == data["unaccounted"] == 0


def test_unaccounted_records_are_shown():
    """A source that lost count says how much, and the sum does too."""
    sheet = balance_sheet({"a": Counters(received=5, stored=3), "b": Counters(received=2, stored=2)})
    assert sheet["sources"]["a"]["unaccounted"] == sheet["unaccounted"] == sheet["residue"] == 2
    assert sheet["total"]["received"] == 7


def test_cardinality_in_prometheus_shape(serve):
    """Counts of series and values by name, largest first, at most ``limit`` each."""
    client = serve(BackendTwin(LABELS, regular(1, 1)))
    data = client.get("/api/v1/status/tsdb", params={"limit": "2"}).json()["data"]
    assert data["headStats"]["numSeries"] == 10
    assert data["headStats"]["numLabelPairs"] == 14
    assert data["seriesCountByMetricName"] == [{"name": "up", "value": 9}, {"name": "down", "value": 1}]
    assert data["labelValueCountByLabelName"] == [{"name": "instance", "value": 9}, {"name": "job", "value": 3}]
    assert data["seriesCountByLabelValuePair"][0] == {"name": "__name__=up", "value": 9}
    assert data["memoryInBytesByLabelName"][0] == {"name": "instance", "value": 18}
    assert data["nissa"]["limit"] == 10
    assert client.get("/api/v1/status/tsdb", params={"limit": "0"}).status_code == 400


def test_cardinality_of_nothing(serve):
    """An empty index has empty lists."""
    data = serve(BackendTwin([], regular(0, 0))).get("/api/v1/status/tsdb").json()["data"]
    assert data["headStats"]["numSeries"] == 0
    assert data["memoryInBytesByLabelName"] == []


def test_build_information_without_features(serve):
    """Grafana takes a server that lists features for Mimir; this one lists none."""
    data = serve(BackendTwin(LABELS, regular(1, 1))).get("/api/v1/status/buildinfo").json()["data"]
    assert data["version"] == "9.9.9"
    assert "features" not in data


def test_health(serve):
    """Healthy while it answers, ready also when only reading works, by GET and HEAD."""
    backend = BackendTwin(LABELS, regular(1, 1))
    client = serve(backend)
    for path in ("/-/healthy", "/-/ready"):
        assert client.get(path).status_code == client.head(path).status_code == 200
    backend.facts = msgspec.structs.replace(backend.facts, mode="read_only")
    assert "read only" in client.get("/-/ready").text
    backend.facts = msgspec.structs.replace(backend.facts, mode="stalled", reason="the sealer hangs")
    answer = client.get("/-/ready")
    assert (answer.status_code, answer.text) == (503, "Nissa is not ready: stalled (the sealer hangs).\n")


def test_the_openapi_document_names_the_routes(serve):
    """Every route and its parameters are described."""
    document = serve(BackendTwin(LABELS, regular(1, 1))).get("/api/v1/openapi.json").json()
    assert {"/api/v1/export", "/api/v1/series", "/api/v1/labels", "/api/status"} <= set(document["paths"])
    names = [one["name"] for one in document["paths"]["/api/v1/export"]["get"]["parameters"]]
    assert names[:5] == ["match[]", "start", "end", "since", "format"]
