"""Routes by which clients of Prometheus learn about the server."""

import yaml

from nissa.config.tree import Api
from oracle.backend_twin import BackendTwin, regular


def test_settings_are_shown_as_yaml_and_by_name(serve):
    """Lists are lists in YAML, and text by name."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)))
    flags = client.get("/api/v1/status/flags").json()["data"]
    config = yaml.safe_load(client.get("/api/v1/status/config").json()["data"]["yaml"])
    assert flags == {"api.listen": "127.0.0.1:0", "ladder.raw_retention": "6h", "ladder.tiers": '[{"interval":"1m"}]'}
    assert config == {
        "api": {"listen": "127.0.0.1:0"},
        "ladder": {"raw_retention": "6h", "tiers": [{"interval": "1m"}]},
    }


def test_how_the_process_runs(serve):
    """Times are RFC 3339; the retention is that of samples."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)))
    shown = client.get("/api/v1/status/runtimeinfo").json()["data"]
    assert (shown["startTime"], shown["serverTime"]) == ("2024-11-21T11:53:20.000Z", "2024-11-21T11:53:29.000Z")
    assert (shown["storageRetention"], shown["reloadConfigSuccess"], shown["corruptionCount"]) == ("6h", True, 0)


def test_what_nissa_does_not_do_is_empty(serve):
    """Targets, rules, alerts and Alertmanagers have Prometheus' shapes; there is no list of features."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)))
    empty = {
        path: client.get(f"/api/v1/{path}").json()["data"] for path in ("targets", "rules", "alerts", "alertmanagers")
    }
    assert empty == {
        "targets": {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}},
        "rules": {"groups": []},
        "alerts": {"alerts": []},
        "alertmanagers": {"activeAlertmanagers": [], "droppedAlertmanagers": []},
    }
    assert "features" not in client.get("/api/v1/status/buildinfo").json()["data"]


def test_targets(serve, targets):
    """Targets are listed as the source of them gives them, all of them or those of a state or a job."""
    active = [{"scrapePool": pool, "health": "up"} for pool in ("node", "app")]
    dropped = [{"scrapePool": "node", "discoveredLabels": {}}]
    targets |= {"activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": {"node": 1, "app": 0}}
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)))

    def listed(**parameters: str) -> tuple[list[str], int, dict[str, int]]:
        found = client.get("/api/v1/targets", params=parameters).json()["data"]
        pools = [one["scrapePool"] for one in found["activeTargets"]]
        return pools, len(found["droppedTargets"]), found["droppedTargetCounts"]

    counts = {"node": 1, "app": 0}
    assert listed() == listed(state="any") == listed(state="other") == (["node", "app"], 1, counts)
    assert listed(state="active") == (["node", "app"], 0, counts)
    assert listed(state="Dropped") == ([], 1, counts)
    assert listed(scrapePool="app") == (["app"], 0, counts)


def test_external_labels_stand_where_clients_of_prometheus_look(serve):
    """Under ``global``, beside the settings."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(external_labels={"site": "a"}))
    config = yaml.safe_load(client.get("/api/v1/status/config").json()["data"]["yaml"])
    assert config["global"] == {"external_labels": {"site": "a"}}
    assert config["api"] == {"listen": "127.0.0.1:0"}


def test_metrics_need_the_daemon(serve):
    """A server without the daemon answers /metrics with 501."""
    assert serve(BackendTwin([{"__name__": "up"}], regular(1, 1))).get("/metrics").status_code == 501
