"""Sinks against a real Prometheus: it has every sample, over its outages and Nissa's."""

import json
import math
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import cramjam
import pytest
from journeys.rig import Daemon, connect, post, running

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from oracle.ports import free_port
from oracle.sink import SinkReply, stub_sink

DEADLINE_S = 120
CONFIG = """
safeguards: {{breakers: {{timeout: 500ms}}}}
sinks:
  prometheus:
    type: remote_write
    url: http://127.0.0.1:{port}/api/v1/write
    external_labels: {{replica: nissa}}
    linger: 20ms
    timeout: 500ms
"""
Rows = dict[tuple[str, int], float]  # (label i, ts_ms) -> value


class Receiver:
    """Debian's Prometheus with its remote write receiver, on one directory and port over restarts."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.directory = directory
        directory.mkdir()
        (directory / "prometheus.yml").write_text("global: {}\n")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            "prometheus",
            f"--config.file={self.directory / 'prometheus.yml'}",
            "--web.enable-remote-write-receiver",
        ]
        command += [f"--storage.tsdb.path={self.directory / 'tsdb'}", f"--web.listen-address=127.0.0.1:{self.port}"]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)
        wait_for(self._is_ready)

    def _is_ready(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as reply:
            return bool(reply.status == 200)
        return False

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self.process.terminate()
        self.process.wait(DEADLINE_S)

    def rows(self, name: str, at_ms: int) -> Rows:
        """Every sample of a metric in the hour before ``at_ms``."""
        question = urlencode({"query": f'{name}{{replica="nissa"}}[1h]', "time": f"{at_ms / 1000:.3f}"})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{question}", timeout=60) as reply:
            answer = json.load(reply)
        return {
            (series["metric"]["i"], round(ts_s * 1000)): float(value)
            for series in answer["data"]["result"]
            for ts_s, value in series["values"]
        }


def wait_for(done: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError("not in time")
        time.sleep(0.05)


class Sender:
    """Sends samples, and remembers them."""

    def __init__(self, name: str, start_ms: int) -> None:
        self.name, self.next_ms = name, start_ms
        self.rows: Rows = {}

    def send(self, nissa: Daemon, rounds: int, series: int = 60) -> None:
        """Send ``rounds`` requests, each with one sample of every series."""
        link = connect(nissa.ingest_url)
        for _ in range(rounds):
            self.next_ms += 100
            request = WriteRequest()
            for number in range(series):
                one = request.timeseries.add()
                one.labels.add(name="__name__", value=self.name)
                one.labels.add(name="i", value=str(number))
                value = math.sin(self.next_ms + number)
                one.samples.add(value=value, timestamp=self.next_ms)
                self.rows[str(number), self.next_ms] = value
            assert post(link, bytes(cramjam.snappy.compress_raw(request.SerializeToString()))) == 204
        link.close()

    def send_late(self, nissa: Daemon, behind_ms: int) -> None:
        """Send one sample older than those of its series at the receiver; it is not noted."""
        request = WriteRequest()
        one = request.timeseries.add()
        one.labels.add(name="__name__", value=self.name)
        one.labels.add(name="i", value="0")
        one.samples.add(value=-1.0, timestamp=self.next_ms - behind_ms)
        link = connect(nissa.ingest_url)
        assert post(link, bytes(cramjam.snappy.compress_raw(request.SerializeToString()))) == 204
        link.close()


def balance(nissa: Daemon, sink: str) -> dict[str, int]:
    """The counters of a sink."""
    found: dict[str, int] = nissa.get("/api/v1/accounting")["data"]["sinks"][sink]
    return found


def is_done(nissa: Daemon, sink: str = "prometheus") -> bool:
    """True once the sink has everything."""
    return balance(nissa, sink)["backlog_frames"] == 0


def nissa_command(nissa: Daemon, *words: str) -> str:
    """Output of a command that asks this daemon."""
    command = [sys.executable, "-m", "nissa.cli.main", *words, "--api", nissa.api_url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE_S).stdout


@contextmanager
def receiver(directory: Path) -> Iterator[Receiver]:
    """A receiver that is killed at the end."""
    found = Receiver(directory)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()


@pytest.mark.needs_debian("prometheus")
def test_prometheus_gets_every_sample(tmp_path: Path) -> None:
    """Down, restarted, stalled, Nissa killed while it is down, a sample it refuses: it has all others, once."""
    sender = Sender("journey", int(time.time() * 1000) - 60_000)
    with receiver(tmp_path / "prometheus") as prometheus:
        config = tmp_path / "nissa.yaml"
        config.write_text(CONFIG.format(port=prometheus.port))
        arguments = ("--config", str(config))
        with running(tmp_path / "data", *arguments) as nissa:
            sender.send(nissa, 20)
            wait_for(lambda: is_done(nissa))
            assert nissa.get("/api/status")["sinks"]["prometheus"]["protocol"] == "1.0"  # Debian's takes no 2.0
            sender.send_late(nissa, 500)
            sender.send(nissa, 5)
            wait_for(lambda: is_done(nissa))
            assert balance(nissa, "prometheus")["dead"] == 1

            prometheus.stop()
            sender.send(nissa, 20)
            wait_for(lambda: nissa.get("/api/status")["sinks"]["prometheus"]["state"] == "failing")
            nissa.kill()
        with running(tmp_path / "data", *arguments) as nissa:
            sender.send(nissa, 20)
            prometheus.start()
            wait_for(lambda: is_done(nissa))

            prometheus.process.send_signal(signal.SIGSTOP)
            sender.send(nissa, 20)
            wait_for(lambda: nissa.get("/api/status")["sinks"]["prometheus"]["failures"] > 0)
            prometheus.process.send_signal(signal.SIGCONT)
            wait_for(lambda: is_done(nissa))

            counts = balance(nissa, "prometheus")
            assert counts["unaccounted"] == counts["lost_frames"] == counts["filtered"] == 0
            assert counts["samples"] >= len(sender.rows) + 1
            assert nissa.stop() == 0
        assert prometheus.rows("journey", sender.next_ms + 1_000) == sender.rows


def test_ingestion_does_not_wait_for_sinks(tmp_path: Path) -> None:
    """Sinks that never answer, have wrong credentials or refuse are in the status; every frame is taken."""
    sender = Sender("busy", int(time.time() * 1000) - 60_000)
    with stub_sink() as wrong, stub_sink() as good, socket.create_server(("127.0.0.1", 0), backlog=64) as hole:
        wrong.reply = lambda: SinkReply(401)
        config = tmp_path / "nissa.yaml"
        lines = ["sinks:"]
        addresses = {"good": good.url, "hole": f"http://127.0.0.1:{hole.getsockname()[1]}/", "wrong": wrong.url}
        for name, url in {**addresses, "down": f"http://127.0.0.1:{free_port()}/"}.items():
            timeout = "1s" if name == "hole" else "30s"  # on a busy machine an answer may take longer than a second
            lines.append(f"  {name}: {{type: remote_write, url: '{url}', linger: 10ms, timeout: {timeout}}}")
        config.write_text("\n".join(lines))
        with running(tmp_path / "data", "--config", str(config)) as nissa:
            sender.send(nissa, 50)
            wait_for(lambda: is_done(nissa, "good"))
            assert len(good.samples) == len(sender.rows)

            def states() -> dict[str, str]:
                return {name: facts["state"] for name, facts in nissa.get("/api/status")["sinks"].items()}

            wait_for(lambda: states() == {"good": "up", "hole": "failing", "wrong": "blocked", "down": "failing"})
            assert "down   failing" in nissa_command(nissa, "sinks", "list")
            assert nissa_command(nissa, "sinks", "skip", "down").endswith(" frames given up\n")
            nissa_command(nissa, "sinks", "pause", "good")
            good.refuses = lambda labels: labels["i"] == "7"
            sender.send(nissa, 1)
            assert states()["good"] == "paused"
            nissa_command(nissa, "sinks", "resume", "good")
            wait_for(lambda: is_done(nissa, "good"))
            assert 'busy{i="7"}' in nissa_command(nissa, "dead-letters", "list", "good")
            assert "out of order sample" in nissa_command(nissa, "dead-letters", "show", "good", "1")
            assert nissa_command(nissa, "dead-letters", "replay", "good") == "0 delivered, 1 left\n"
            good.refuses = lambda _: False
            assert nissa_command(nissa, "dead-letters", "replay", "good", "1") == "1 delivered, 0 left\n"
            assert nissa_command(nissa, "dead-letters", "drop", "good") == "0 dropped\n"
            assert len(good.samples) == len(sender.rows)
            assert nissa.stop() == 0
    assert len(wrong.requests) == 1
