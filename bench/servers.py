"""Servers to send to: Nissa and, where Debian's packages are installed, VictoriaMetrics and Prometheus.

Each is started on a fresh temporary directory and free ports, and stopped and removed after use. Peers run with their
defaults; what is added only makes room for the load or opens the door for remote write.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.usage import usage_of

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.02
QUIET_POLL_S = 0.25
QUIET_SHARE = 0.1  # of one core
QUIET_S = 1.0


@dataclass
class Server:
    """A server that runs. data: where it keeps everything."""

    name: str
    process: subprocess.Popen[str]
    write_url: str
    telemetry_url: str
    api_url: str
    data: Path
    ready_s: float  # from start to accepting

    def completed(self) -> None:
        """Wait until the server has loaded everything and does nothing more: what follows is the load's alone."""
        quiet_s, before = 0.0, usage_of(self.process.pid).cpu_s
        for _ in range(int(START_TIMEOUT_S / QUIET_POLL_S)):
            time.sleep(QUIET_POLL_S)
            now = usage_of(self.process.pid).cpu_s
            quiet_s = quiet_s + QUIET_POLL_S if now - before <= QUIET_SHARE * QUIET_POLL_S else 0.0
            before = now
            if quiet_s >= QUIET_S:
                return
        raise RuntimeError(f"{self.name} does not come to rest")

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(STOP_TIMEOUT_S) != 0:
            raise RuntimeError(f"{self.name} exited with {self.process.returncode}")

    def kill(self) -> None:
        """End it without warning."""
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_nissa(
    data: Path, settings: Mapping[str, str] | None = None, durability: str = "fsync", config: Path | None = None
) -> Server:
    """Start the daemon. settings: paths of docs/config.md -> values. config: a settings file."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    for path, value in (settings or {}).items():
        environment["NISSA_" + path.upper().replace(".", "__")] = value
    command = [sys.executable, "-m", "nissa.cli.ingest", "--data-dir", str(data), "--durability", durability]
    command += ["--ingest", "127.0.0.1:0", "--api", "127.0.0.1:0", *(["--config", str(config)] if config else [])]
    begun = time.perf_counter()
    with (data.parent / f"{data.name}.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    ready_s = time.perf_counter() - begun
    if not line.startswith("ready "):
        process.kill()
        raise RuntimeError(f"nissa-ingest did not start: {(data.parent / f'{data.name}.log').read_text()[-2000:]}")
    told = dict(word.split("=", 1) for word in line.split()[1:])
    ingest = told["ingest"]
    return Server("nissa", process, f"{ingest}/api/v1/write", f"{ingest}/api/v1/telemetry", told["api"], data, ready_s)


def start_victoria_metrics(data: Path) -> Server:
    """Start Debian's victoria-metrics."""
    port = free_port()
    command = ["victoria-metrics", f"-storageDataPath={data}", f"-httpListenAddr=127.0.0.1:{port}"]
    command += ["-retentionPeriod=100y", "-maxLabelsPerTimeseries=40"]
    url = f"http://127.0.0.1:{port}"
    return _start_peer("victoria-metrics", command, data, url, f"{url}/health")


def start_prometheus(data: Path) -> Server:
    """Start Debian's prometheus, scraping nothing."""
    port = free_port()
    data.mkdir(parents=True, exist_ok=True)
    (data.parent / "prometheus.yml").write_text("global: {}\n")
    command = ["prometheus", f"--config.file={data.parent / 'prometheus.yml'}", f"--storage.tsdb.path={data}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--log.level=error"]
    url = f"http://127.0.0.1:{port}"
    return _start_peer("prometheus", command, data, url, f"{url}/-/ready")


def _start_peer(name: str, command: list[str], data: Path, url: str, health: str) -> Server:
    begun = time.perf_counter()
    with (data.parent / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, text=True)
    while time.perf_counter() - begun < START_TIMEOUT_S:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if urllib.request.urlopen(health, timeout=1).status == 200:
                break
        time.sleep(POLL_S)
    else:
        process.kill()
        raise RuntimeError(f"{name} did not start: {(data.parent / f'{name}.log').read_text()[-2000:]}")
    return Server(name, process, f"{url}/api/v1/write", "", url, data, time.perf_counter() - begun)


STARTS = {"nissa": start_nissa, "victoria-metrics": start_victoria_metrics, "prometheus": start_prometheus}


def installed() -> list[str]:
    """Names of the servers this machine can start."""
    return [name for name in STARTS if name == "nissa" or shutil.which(name)]


@contextlib.contextmanager
def running(name: str, **how: object) -> Iterator[Server]:
    """A server on a fresh directory, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as directory:
        server: Server = STARTS[name](Path(directory) / "data", **how)  # type: ignore[operator]
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.kill()
