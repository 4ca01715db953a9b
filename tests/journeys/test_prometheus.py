"""Debian's Prometheus beside Nissa: it scrapes itself, Nissa and a target that goes away, and writes it all to Nissa.

target ──► Prometheus ──remote write 1.0──► Nissa ──► export
Nissa /metrics ──►┘  └──► its own query API ─────────────┴──► equal, bit for bit
"""

import contextlib
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
from journeys.rig import Daemon, Export, Ledger, bits_of_export, connect, post, running

from oracle.ports import free_port

STALE = 0x7FF0000000000002
JOBS = 4
SCRAPES = 5  # of the target, before it goes away
DEADLINE_S = 60
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - {{job_name: prometheus, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
  - {{job_name: nissa, static_configs: [{{targets: ["{ingest}"]}}]}}
  - {{job_name: text, metrics_path: /text, static_configs: [{{targets: ["127.0.0.1:{target}"]}}]}}
  - {{job_name: leaving, static_configs: [{{targets: ["127.0.0.1:{target}"]}}]}}
remote_write:
  - url: http://{ingest}/api/v1/write
    queue_config: {{batch_send_deadline: 200ms, max_shards: 4}}
    metadata_config: {{send_interval: 1s}}
"""
# -0.0 is not among the values: Prometheus leaves it off the wire, where absent means +0.0.
LEAVING = """# TYPE leaving_value gauge
leaving_value{kind="sum"} 0.30000000000000004
leaving_value{kind="largest"} 1.7976931348623157e308
leaving_value{kind="smallest"} 5e-324
leaving_value{kind="zero"} 0
leaving_value{kind="infinite"} -Inf
leaving_value{kind="none"} NaN
leaving_value{kind="téxt \\"quoted\\" \\n"} 1
"""


class Target:
    """Something to scrape: /metrics until ``gone`` is set, and /text, which is Nissa's text format passed on."""

    def __init__(self, nissa: Daemon) -> None:
        self.gone = threading.Event()
        self.scrapes = 0
        target = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/text":
                    body, kind = scrape(nissa, "text/plain")
                else:
                    target.scrapes += 1
                    body, kind = LEAVING.encode(), "text/plain; version=0.0.4"
                self.send_response(503 if target.gone.is_set() and self.path != "/text" else 200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                with contextlib.suppress(OSError):  # a scraper that ended meanwhile
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def scrape(nissa: Daemon, accept: str) -> tuple[bytes, str]:
    """Body and content type of Nissa's /metrics."""
    request = urllib.request.Request(nissa.ingest_url + "/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return reply.read(), reply.headers["Content-Type"]


class Prometheus:
    """A process of Debian's Prometheus."""

    def __init__(self, directory: Path, nissa: Daemon, target: Target) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        directory.mkdir()
        config = directory / "prometheus.yml"
        config.write_text(CONFIG.format(port=port, ingest=nissa.ingest_url.removeprefix("http://"), target=target.port))
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}"]
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log
            )

    def raw(self, at_ms: int) -> Export:
        """Every sample it has of the five minutes before ``at_ms``. Staleness markers are not in its answers."""
        question = urlencode({"query": '{job=~".+"}[5m]', "time": f"{at_ms / 1000:.3f}"})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{question}", timeout=60) as reply:
            answer = json.load(reply)
        return {
            tuple(sorted(series["metric"].items())): {
                round(ts_s * 1000): bits_of_export(None if value == "NaN" else float(value))
                for ts_s, value in series["values"]
            }
            for series in answer["data"]["result"]
        }


@pytest.fixture
def nissa(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that seals often, so that head and blocks are both read."""
    with running(tmp_path / "data", environment={"NISSA_STORAGE__SEAL_INTERVAL": "3000ms"}) as daemon:
        yield daemon


@pytest.fixture
def target(nissa: Daemon) -> Iterator[Target]:
    """The target."""
    target = Target(nissa)
    yield target
    target.close()


@pytest.fixture
def prometheus(tmp_path: Path, nissa: Daemon, target: Target) -> Iterator[Prometheus]:
    """Prometheus on its own directory."""
    prometheus = Prometheus(tmp_path / "prometheus", nissa, target)
    yield prometheus
    prometheus.process.kill()
    prometheus.process.wait()


def wait_for(condition: Callable[[], bool]) -> bool:
    """True if ``condition`` came true in time."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


def only(found: Export, first_ms: int, last_ms: int) -> Export:
    """Samples of (first_ms, last_ms] that are no staleness markers."""
    cut = {
        labels: {ts_ms: bits for ts_ms, bits in series.items() if first_ms < ts_ms <= last_ms and bits != STALE}
        for labels, series in found.items()
    }
    return {labels: series for labels, series in cut.items() if series}


@pytest.mark.needs_debian("prometheus")
def test_nissa_has_what_prometheus_has(nissa: Daemon, target: Target, prometheus: Prometheus) -> None:
    """Every sample of five minutes that Prometheus answers with, Nissa exports with the same bits, and no others."""
    # Prometheus sends what it scrapes after its queue has read the write-ahead log, some seconds after its start.
    assert wait_for(lambda: len(nissa.export('{__name__="up"}')) == JOBS)
    first_ms, scrapes_before = int(time.time() * 1000), target.scrapes
    assert wait_for(lambda: target.scrapes >= scrapes_before + SCRAPES)
    target.gone.set()
    assert wait_for(lambda: ends_stale(nissa.export('{__name__="leaving_value"}')))
    theirs, ours = both(nissa, prometheus, first_ms, int(time.time() * 1000))
    assert ours.keys() == theirs.keys()
    assert ours == theirs
    assert len(ours) > 500
    assert_targets_up(ours)
    assert nissa.get("/api/v1/metadata?metric=prometheus_build_info")["data"]
    assert not any(nissa.unaccounted().values())
    assert nissa.get("/api/v1/accounting")["data"]["total"]["refused"] == {}


def both(nissa: Daemon, prometheus: Prometheus, first_ms: int, last_ms: int) -> tuple[Export, Export]:
    """Samples of Prometheus and of Nissa in (first_ms, last_ms], once they are equal, or at the deadline.

    A scrape that began within it may still be under way.
    """
    found: list[Export] = []

    def same() -> bool:
        found[:] = only(prometheus.raw(last_ms), first_ms, last_ms), only(everything(nissa), first_ms, last_ms)
        return found[0] == found[1]

    wait_for(same)
    return found[0], found[1]


def everything(nissa: Daemon) -> Export:
    """All that was scraped."""
    return nissa.export('{job=~".+"}')


def ends_stale(leaving: Export) -> bool:
    """True if the series of the target that went away are there, and each ends with a staleness marker."""
    return len(leaving) == LEAVING.count("leaving_value{") and all(
        series[max(series)] == STALE for series in leaving.values()
    )


def assert_targets_up(found: Export) -> None:
    """Prometheus took Nissa's metrics in OpenMetrics, which it asks for, and in the text format."""
    ups = {dict(labels)["job"]: series for labels, series in found.items() if dict(labels)["__name__"] == "up"}
    one = bits_of_export(1.0)
    assert one in ups["nissa"].values()  # a scrape may come too late once
    assert one in ups["text"].values()
    jobs = {
        dict(labels)["job"] for labels in found if dict(labels)["__name__"] == "nissa_ingest_latency_seconds_bucket"
    }
    assert jobs == {"nissa", "text"}


@pytest.mark.needs_debian("prometheus")
def test_metrics_are_clean_to_promtool(nissa: Daemon) -> None:
    """``promtool check metrics`` has nothing to say about Nissa's text format, after traffic taken and refused."""
    link = connect(nissa.ingest_url)
    statuses = [post(link, body) for body in (Ledger(1).body(1), Ledger(1).body(1), b"\x02\x04\x0a\xff")]
    assert statuses == [204, 204, 400]
    nissa.export()
    body, kind = scrape(nissa, "text/plain")
    assert kind.startswith("text/plain; version=0.0.4")
    checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=60)
    assert (checked.returncode, checked.stderr.decode()) == (0, "")
    body, kind = scrape(nissa, "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
