"""The systems of a mixed day: Nissa alone, and Prometheus with Alertmanager and Pushgateway for their part of it."""

import argparse
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.load import METRICS, REGIONS
from bench.scraping import configuration
from bench.servers import Server, free_port, start_nissa
from bench.usage import cpu_by_thread, usage_of

SCRAPE_INTERVAL_S = 15
RULES_PER_GROUP = 50
ALERTS_EVERY = 10  # of ten rules one is an alerting rule
SERVICES = 20
START_TIMEOUT_S = 60.0
TIERS = [
    {"interval": "1m", "retention": "24h", "aggregates": ["sum", "min", "max", "first", "last", "stddev", "increase"]},
    {"interval": "5m", "retention": "7d"},
    {"interval": "1h", "retention": "30d"},
]


@dataclass
class Place:
    """Where a system lives, and what it talks to. pages, receiver: ports."""

    directory: Path
    pages: int
    receiver: int
    redis_url: str = ""


@dataclass
class System:
    """A system that runs. write_url: of remote write; push_url: of pushes, without the grouping key."""

    name: str
    processes: dict[str, subprocess.Popen[Any]]
    write_url: str
    api_url: str
    push_url: str
    server: Server | None = None  # Nissa: OTLP, Oona and the accounting are its alone

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far: of Nissa by name of thread, those of a pool together; else by process."""
        if self.server is not None:
            found: Counter[str] = Counter()
            for name, used in cpu_by_thread(self.server.process.pid).items():
                found[name.split(" ", 1)[1].rstrip("_0123456789")] += used
            return found
        return {name: usage_of(process.pid).cpu_s for name, process in self.processes.items()}

    def resident_mib(self) -> float:
        """Resident memory of all processes."""
        return sum(usage_of(process.pid).rss_bytes for process in self.processes.values()) / 2**20

    def kill(self) -> None:
        """End all without warning."""
        for process in self.processes.values():
            process.kill()
            process.wait()


def rule_groups(count: int) -> list[dict[str, Any]]:
    """Rules that are all different: a metric, a service and a region each, about 300 series of 300,000."""
    rules: list[dict[str, Any]] = []
    for number in range(count):
        metric, rest = METRICS[number % len(METRICS)], number // len(METRICS)
        chosen = f'{metric}{{service="{rest % SERVICES}",region="{REGIONS[rest // SERVICES % len(REGIONS)]}"}}'
        if number % ALERTS_EVERY == ALERTS_EVERY - 1:
            fires = 0 if rest % 2 else 1000  # values are from 0 to 100
            rules.append({"alert": f"Day{number}", "expr": f"avg by (rack) ({chosen}) > {fires}", "for": "1m"})
        else:
            rules.append({"record": f"day:rule_{number}", "expr": f"sum by (rack) (rate({chosen}[1m]))"})
    return [
        {"name": f"day-{at}", "interval": "30s", "rules": rules[at : at + RULES_PER_GROUP]}
        for at in range(0, count, RULES_PER_GROUP)
    ]


def _write(directory: Path, name: str, content: object) -> str:
    path = directory / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def _alertmanager(place: Place) -> str:
    webhook = {"url": f"http://127.0.0.1:{place.receiver}/alerts"}
    return _write(
        place.directory,
        "alertmanager.yml",
        {
            "route": {"receiver": "hook", "group_by": ["alertname"]},
            "receivers": [{"name": "hook", "webhook_configs": [webhook]}],
        },
    )


def start_nissa_system(place: Place, options: argparse.Namespace) -> System:
    """One daemon with everything."""
    directory = place.directory
    targets = configuration(place.pages, options.targets, SCRAPE_INTERVAL_S, True)
    settings = {
        "sources": {
            "scrape": {"config_file": _write(directory, "scrape.yml", targets)},
            "oona": {"url": place.redis_url},
        },
        "rules": {"files": [_write(directory, "rules.yaml", {"groups": rule_groups(options.rules)})]},
        "alerting": {"config_file": _alertmanager(place)},
        "ladder": {"tiers": TIERS},
        "series": {"active_max": 2_000_000},
        "sinks": {
            "far": {"type": "remote_write", "url": f"http://127.0.0.1:{place.receiver}/write"},
            "folder": {"type": "files", "url": str(directory / "folder")},
        },
    }
    config = Path(_write(directory, "nissa.yaml", settings))
    server = start_nissa(directory / "data", config=config)
    ingest = server.write_url.removesuffix("/api/v1/write")
    processes: dict[str, subprocess.Popen[Any]] = {"nissa-ingest": server.process}
    return System("nissa", processes, server.write_url, server.api_url, f"{ingest}/metrics/job", server)


def start_prometheus_system(place: Place, options: argparse.Namespace) -> System:
    """Debian's Prometheus, Alertmanager and Pushgateway. Raises: RuntimeError where one does not start."""
    directory, (prometheus, alertmanager, pushgateway) = place.directory, (free_port() for _ in range(3))
    settings = yaml.safe_load(configuration(place.pages, options.targets, SCRAPE_INTERVAL_S, True))
    gateway = {"targets": [f"127.0.0.1:{pushgateway}"]}
    settings["scrape_configs"].append({"job_name": "push", "honor_labels": True, "static_configs": [gateway]})
    settings["rule_files"] = [_write(directory, "rules.yaml", {"groups": rule_groups(options.rules)})]
    alerting = {"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}
    settings["alerting"] = {"alertmanagers": [alerting]}
    settings["remote_write"] = [{"url": f"http://127.0.0.1:{place.receiver}/write"}]
    config = _write(directory, "prometheus.yml", settings)
    commands = {
        "prometheus": (
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
            "--web.enable-remote-write-receiver",
            "--log.level=error",
        ),
        "alertmanager": (
            "prometheus-alertmanager",
            f"--config.file={_alertmanager(place)}",
            f"--storage.path={directory / 'alerts'}",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
            "--log.level=error",
        ),
        "pushgateway": (
            "prometheus-pushgateway",
            f"--web.listen-address=127.0.0.1:{pushgateway}",
            "--log.level=error",
        ),
    }
    processes = {name: _start(directory, name, command) for name, command in commands.items()}
    api = f"http://127.0.0.1:{prometheus}"
    push = f"http://127.0.0.1:{pushgateway}/metrics/job"
    system = System("prometheus", processes, f"{api}/api/v1/write", api, push)
    for port in (prometheus, alertmanager, pushgateway):
        _wait(system, f"http://127.0.0.1:{port}/-/ready")
    return system


def _start(directory: Path, name: str, command: Sequence[str]) -> "subprocess.Popen[Any]":
    with (directory / f"{name}.log").open("w") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _wait(system: System, health: str) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(health, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    system.kill()
    raise RuntimeError(f"{health} does not answer")


STARTS: dict[str, Callable[[Place, argparse.Namespace], System]] = {
    "nissa": start_nissa_system,
    "prometheus": start_prometheus_system,
}
