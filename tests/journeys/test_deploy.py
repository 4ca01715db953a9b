"""Files of ``deploy/``: each is accepted by the program it is for, and every query of the dashboards answers."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import prometheus_client
import pytest
import yaml
from journeys.rig import START_TIMEOUT_S, Daemon, Ledger, connect, nissa_command, post, running, send

from nissa._proto import leyline_pb2 as leyline

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
NISSA = ("nissa-health", "nissa-ingestion", "nissa-sinks-and-rules")
ESPER = (
    *("tolaria.training.latency_ms", "tolaria.epoch_hook.latency_ms", "tolaria.training.loss", "tolaria.seeds.active"),
    *("kasmina.seeds.active", "kasmina.isolation.violations", "tamiyo.gnn.feature_coverage", "oona.queue.depth"),
    *("tamiyo.bsds.hazard_high_signal", "tamiyo.bsds.hazard_critical_signal", "tamiyo.bsds.elevated_risk_flag"),
    *("oona.queue.depth.normal", "oona.publish.latency_ms", "oona.consume.latency_ms", "tolaria.graph.replay_ms"),
    *("tolaria.graph.capture_ms", "tolaria.graph.stage_copy_ms", "tolaria.graph.fallback_events"),
    *("tezzeret.compile.retry_count", "tezzeret.mode.conservative", "simic.value.loss", "simic.param.loss"),
    *("tolaria.breaker.state", "tezzeret.breaker.state", "oona.breaker.state"),
)
FES_GAUGES: dict[str, list[str]] = {
    "orchestration_workers_connected": [],
    "orchestration_queue_length": ["queue"],
    "agent_training_loss": ["policy"],
    "agent_training_reward": ["policy"],
    "process_resident_memory_bytes": [],
    "go_goroutines": [],
}
FES_COUNTERS: dict[str, list[str]] = {
    "orchestration_messages_processed_total": ["type"],
    "simulation_ticks_total": ["worker"],
    "logging_events_total": ["level"],
    "grpc_server_handled_total": ["grpc_service", "grpc_code"],
    "process_cpu_seconds_total": [],
}
FES_HISTOGRAMS: dict[str, list[str]] = {
    "simulation_tick_duration_seconds": ["worker"],
    "nats_request_duration_seconds": [],
    "grpc_server_handling_seconds": ["grpc_service"],
}
# Panels that need what a daemon without buses, sinks, rules and outages does not have.
QUIET = (
    *("nissa_sink_", "nissa_rule_", "nissa_alerts_", "nissa_source_lag", "nissa_source_targets"),
    *("nissa_shed_frames", "nissa_ingest_refused", "nissa_load_ratio"),
)


def test_dashboards_are_those_of_their_script(tmp_path: Path) -> None:
    """The dashboards in the repository equal those that the script writes."""
    subprocess.run([sys.executable, str(DEPLOY / "grafana" / "write_dashboards.py"), str(tmp_path)], check=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        path.name: path.read_text() for path in DASHBOARDS
    }


def queries_without_series(daemon: Daemon, dashboards: tuple[str, ...]) -> list[tuple[str, str]]:
    """(panel, query) of dashboards that find nothing. Raises where one is not answered."""
    empty = []
    for name in dashboards:
        panels = json.loads((DEPLOY / "grafana" / "dashboards" / f"{name}.json").read_text())["panels"]
        for title, target in [(panel["title"], target) for panel in panels for target in panel["targets"]]:
            query = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            asked = urlencode({"query": query, "start": time.time() - 2, "end": time.time(), "step": "1s"})
            answer = daemon.get(f"/api/v1/query_range?{asked}")
            assert answer["status"] == "success", (title, answer)
            if not answer["data"]["result"]:
                empty.append((title, query))
    return empty


def never_without_series(daemon: Daemon, dashboards: tuple[str, ...], quiet: tuple[str, ...] = ()) -> list[Any]:
    """Of those that name none of ``quiet``: what still finds nothing when all have had time to."""
    ends = time.monotonic() + START_TIMEOUT_S
    while True:
        empty = [one for one in queries_without_series(daemon, dashboards) if not any(name in one[1] for name in quiet)]
        if not empty or time.monotonic() > ends:
            return empty
        time.sleep(0.5)


def test_every_query_about_nissa_answers(tmp_path: Path) -> None:
    """On a daemon that stores its own metrics and takes samples: without an error, and with series."""
    ledger = Ledger(5)
    with running(tmp_path / "data", environment={"NISSA_TELEMETRY__INTERVAL": "200ms"}) as daemon:
        link = connect(daemon.ingest_url)
        for _ in range(5):
            assert post(link, ledger.body(ledger.claim())) == 204
            time.sleep(0.3)
        assert never_without_series(daemon, NISSA, QUIET) == []
        assert daemon.stop() == 0


def test_every_query_about_esper_answers(tmp_path: Path) -> None:
    """On packets as Esper's subsystems send them; rules raise alerts on them."""
    settings = {"NISSA_RULES__SHIPPED": '["esper"]', "NISSA_RULES__INTERVAL": "200ms"}
    with running(tmp_path / "data", environment=settings) as daemon:
        link = connect(daemon.ingest_url)
        for number in range(6):
            packet = leyline.TelemetryPacket(packet_id=f"p{number}", source_subsystem="tolaria")
            packet.timestamp.FromMilliseconds(int(time.time() * 1000))
            for place, name in enumerate(ESPER):
                packet.metrics.add(name=name, value=float(number + place + 5))
            status, answer = send(link, "esper.leyline.v1.TelemetryPacket", packet.SerializeToString())
            assert status in (200, 204), answer
            time.sleep(0.3)
        assert never_without_series(daemon, ("esper-training",)) == []
        assert daemon.stop() == 0


def test_every_query_about_fish_eco_sim_answers(tmp_path: Path) -> None:
    """On pages of the client library of Prometheus, scraped by the jobs that are in the repository."""
    registry = prometheus_client.CollectorRegistry()
    metrics = FishEcoSim(registry)
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    scraped = (DEPLOY / "fish-eco-sim" / "prometheus.yml").read_text()
    scraped = scraped.replace("scrape_interval: 10s", "scrape_interval: 200ms")
    scraped = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{server.server_port}", scraped).replace("  - rules.yaml", "")
    (tmp_path / "prometheus.yml").write_text(scraped.replace("rule_files:", ""))
    try:
        with running(
            tmp_path / "data", environment={"NISSA_SOURCES__SCRAPE__CONFIG_FILE": str(tmp_path / "prometheus.yml")}
        ) as daemon:
            for _ in range(8):
                metrics.work()
                time.sleep(0.3)
            assert never_without_series(daemon, ("fish-eco-sim",)) == []
            assert daemon.stop() == 0
    finally:
        server.shutdown()
        thread.join()


class FishEcoSim:
    """The metrics of the services, all in one registry."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        own = {"registry": registry}
        gauge, counter, histogram = prometheus_client.Gauge, prometheus_client.Counter, prometheus_client.Histogram
        self._gauges = [gauge(name, "", labels, **own) for name, labels in FES_GAUGES.items()]
        self._counters = [counter(name, "", labels, **own) for name, labels in FES_COUNTERS.items()]
        self._histograms = [histogram(name, "", labels, **own) for name, labels in FES_HISTOGRAMS.items()]

    def work(self) -> None:
        """Everything moves."""
        for one in self._gauges:
            (one.labels("a") if one._labelnames else one).set(5)
        for counted in self._counters:
            values = ("a", "Internal")[: len(counted._labelnames)]
            (counted.labels(*values) if values else counted).inc(3)
        for timed in self._histograms:
            (timed.labels("a") if timed._labelnames else timed).observe(0.02)


def test_provisioning_can_be_read() -> None:
    """The data source speaks to the API port, and the provider names a folder."""
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/nissa.yaml").read_text())["datasources"][0]
    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9471")
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/nissa.yaml").read_text())["providers"][0]
    assert provider["options"]["path"].startswith("/")


@pytest.mark.needs_debian("prometheus")
@pytest.mark.needs_debian("prometheus-alertmanager")
@pytest.mark.parametrize(
    "command",
    [
        "promtool check config prometheus/prometheus.yml",
        "promtool check config fish-eco-sim/prometheus.yml",
        "promtool check config --syntax-only docker/prometheus.yml",
        "promtool check rules fish-eco-sim/rules.yaml ../src/nissa/rules/shipped/nissa.yaml",
        "promtool test rules fish-eco-sim/rules_test.yaml",
        "amtool check-config alertmanager/alertmanager.yml",
    ],
)
def test_others_take_their_configurations(command: str) -> None:
    """promtool and amtool accept the files."""
    done = subprocess.run(command.split(), cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs_debian("prometheus-alertmanager")
@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"alertname": "NissaHeartbeat", "severity": "none"}, "heartbeat"),
        ({"alertname": "AllServicesDown", "severity": "critical"}, "on-call"),
        ({"alertname": "ServiceDown", "severity": "warning"}, "operators"),
        ({"alertname": "x", "severity": "info"}, "nobody"),
    ],
)
def test_routes_lead_to_receivers(labels: dict[str, str], receivers: str) -> None:
    """Alertmanager's amtool and nissa agree."""
    file, pairs = str(DEPLOY / "alertmanager/alertmanager.yml"), [f"{name}={value}" for name, value in labels.items()]
    command = ["amtool", "config", "routes", "test", f"--config.file={file}", *pairs]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == receivers
    assert nissa_command("routes", "test", file, *pairs).decode().strip() == receivers


@pytest.mark.parametrize("kit", ["fish-eco-sim", "esper"])
def test_settings_are_taken(kit: str) -> None:
    """With every file that they name, and the unit tests of the rules pass in Nissa as in Prometheus."""
    command = [sys.executable, "-m", "nissa.cli.main", "config", "check", "nissa.yaml"]
    done = subprocess.run(command, cwd=DEPLOY / kit, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if (tests := DEPLOY / kit / "rules_test.yaml").exists():
        assert b"SUCCESS" in nissa_command("rules", "test", tests)
