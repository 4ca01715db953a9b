"""Objectives of a running daemon: budgets from its own metrics, snapshots, a reload that begins with rules."""

from pathlib import Path

import pytest
from journeys.rig import Daemon, running
from journeys.test_rules import post_form, wait_for

CONFIG = "telemetry: {interval: 100ms}\n"
SLO = "slo: {shipped: [nissa], interval: 1s}\nrules: {interval: 500ms}\n"


def budgets(daemon: Daemon) -> dict[str, dict]:
    """Budgets by the name of their objective, of those that were computed."""
    return {one["name"]: one["budget"] for one in daemon.get("/api/v1/slos")["data"]["slos"] if "budget" in one}


@pytest.mark.long
def test_budgets_are_computed_from_own_metrics(tmp_path: Path) -> None:
    """A reload begins with objectives and their rules: budgets, samples, snapshots; a fault changes nothing."""
    config = tmp_path / "nissa.yaml"
    config.write_text(CONFIG)
    environment = {"NISSA_TELEMETRY__INTERVAL": "100ms"}
    with running(tmp_path / "data", "--config", str(config), environment=environment) as daemon:
        assert daemon.get("/api/v1/slos")["data"] == {"slos": []}
        config.write_text(CONFIG + SLO)
        assert post_form(daemon, "/-/reload")[0] == 200
        wait_for(lambda: budgets(daemon))
        for _ in range(5):
            daemon.get("/api/v1/query?query=1")
        wait_for(lambda: budgets(daemon)["metric_query_latency"]["events"]["total"] > 0)
        found = budgets(daemon)
        assert set(found) == {
            "event_ingestion_latency",
            "metric_query_latency",
            "alert_processing_latency",
            "websocket_availability",
        }
        assert {one["state"] for one in found.values()} <= {"too_few_events", "ok"}
        path = "/api/v1/slos/metric_query_latency/snapshots"
        assert wait_for(lambda: daemon.get(path)["data"]["snapshots"])[0]["slo"] == "metric_query_latency"
        query = "/api/v1/query?query=nissa_error_budget_remaining_percent"
        assert len(wait_for(lambda: daemon.get(query)["data"]["result"])) == 4
        groups = daemon.get("/api/v1/rules")["data"]["groups"]
        assert "slo metric_query_latency" in {group["name"] for group in groups}
        config.write_text(CONFIG + "slo: {shipped: [none]}\n")
        assert post_form(daemon, "/-/reload")[0] == 500
        assert len(daemon.get("/api/v1/slos")["data"]["slos"]) == 4
        assert daemon.stop() == 0
