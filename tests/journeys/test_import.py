"""History out of VictoriaMetrics, Prometheus and files into the running daemon, also when it is killed meanwhile."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from journeys.rig import START_TIMEOUT_S, Daemon, connect, running

from oracle.ports import free_port

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW_MS = int(time.time() * 1000)
STEP_MS = 15_000
SEAL_OFTEN = {"NISSA_STORAGE__SEAL_INTERVAL": "1000ms"}
Samples = dict[str, list[tuple[int, float]]]  # by instance


def samples_of(series: int, first_ms: int, count: int) -> Samples:
    """Whole numbers, so that sums are exact."""
    return {
        f"i{number}": [(first_ms + at * STEP_MS, float(at % 50 + number)) for at in range(count)]
        for number in range(series)
    }


def json_lines(samples: Samples) -> bytes:
    """Lines of a thousand samples."""
    lines = []
    for instance, rows in samples.items():
        for first in range(0, len(rows), 1000):
            part = rows[first : first + 1000]
            line = {
                "metric": {"__name__": "history", "instance": instance},
                "timestamps": [ts_ms for ts_ms, _ in part],
                "values": [value for _, value in part],
            }
            lines.append(json.dumps(line))
    return "\n".join(lines).encode() + b"\n"


def post(daemon: Daemon, body: bytes) -> tuple[int, bytes]:
    """Status and body of one import."""
    link = connect(daemon.ingest_url)
    with contextlib.closing(link):
        link.request("POST", "/api/v1/import", body)
        reply = link.getresponse()
        return reply.status, reply.read()


def wait_folded(daemon: Daemon) -> None:
    """Wait until no imported sample waits."""
    for _ in range(600):
        if not daemon.get("/api/status")["imports"]["waiting"]:
            return
        time.sleep(0.1)
    raise AssertionError(daemon.get("/api/status"))


def hours(daemon: Daemon) -> dict[tuple[str, int], tuple[int, float]]:
    """(instance, start) -> count and sum of each hour."""
    question = urlencode({"match[]": '{__name__="history"}', "resolution": "1h"})
    status, body = daemon.request("GET", f"/api/v1/export?{question}")
    assert status == 200, body
    found = {}
    for line in body.splitlines():
        read = json.loads(line)
        for start, count, total in zip(read["timestamps"], read["count"], read["sum"], strict=True):
            found[read["metric"]["instance"], start] = (count, total)
    return found


def expected(samples: Samples) -> dict[tuple[str, int], tuple[int, float]]:
    """The same of samples."""
    found: dict[tuple[str, int], tuple[int, float]] = {}
    for instance, rows in samples.items():
        for ts_ms, value in rows:
            key = (instance, ts_ms // HOUR_MS * HOUR_MS)
            count, total = found.get(key, (0, 0.0))
            found[key] = (count + 1, total + value)
    return found


@contextlib.contextmanager
def server(command: list[str], url: str, log: Path) -> Iterator[str]:
    """A server that is ready, and killed at the end."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        for _ in range(START_TIMEOUT_S * 10):
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"{command[0]} does not answer; see {log}")
        yield url
    finally:
        process.kill()
        process.wait()


def run_import(tmp_path: Path, *arguments: str, wait: bool = True) -> Any:
    """The command, its progress file in the test's directory."""
    command = [sys.executable, "-m", "nissa.cli.main", "import", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
    )
    return process.communicate(timeout=300) if wait else process


@pytest.mark.needs_debian("victoria-metrics")
def test_what_victoria_metrics_exports(tmp_path: Path) -> None:
    """Ten days of a real victoria-metrics, posted as it exports them, twice: each sample counts once."""
    samples = samples_of(3, NOW_MS // DAY_MS * DAY_MS - 10 * DAY_MS, 2_000)
    port = free_port()
    command = ["victoria-metrics", f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={tmp_path / 'vm'}"]
    command += ["-retentionPeriod=1y", "-memory.allowedBytes=200MB"]
    with running(tmp_path / "data", environment=SEAL_OFTEN) as daemon:
        with server(command, f"http://127.0.0.1:{port}/health", tmp_path / "vm.log"):
            vm = f"http://127.0.0.1:{port}/api/v1"
            urllib.request.urlopen(f"{vm}/import", json_lines(samples), timeout=60).close()
            exported = b""
            for _ in range(START_TIMEOUT_S * 5):
                question = urlencode({"match[]": "history", "start": "-30d"})
                with urllib.request.urlopen(f"{vm}/export?{question}", timeout=60) as reply:
                    exported = reply.read()
                if sum(len(json.loads(line)["values"]) for line in exported.splitlines()) == 3 * 2_000:
                    break  # its shards show what they have one by one
                time.sleep(0.2)
        for _ in range(2):
            assert post(daemon, exported) == (204, b"")
            wait_folded(daemon)
            assert hours(daemon) == expected(samples)
        question = urlencode(
            {"query": "sum(count_over_time(history[1d]))", "time": samples["i0"][0][0] / 1000 + 86_400}
        )
        (result,) = daemon.get(f"/api/v1/query?{question}")["data"]["result"]
        assert float(result["value"][1]) == 3 * 2_000
        assert set(daemon.unaccounted().values()) == {0}


@pytest.mark.needs_debian("prometheus")
def test_what_a_running_prometheus_has(tmp_path: Path) -> None:
    """Blocks of a real Prometheus over remote read: every hour has its samples, and the counts agree."""
    samples = samples_of(3, NOW_MS // DAY_MS * DAY_MS - 3 * DAY_MS, 2_000)
    lines = [
        f'history{{instance="{instance}"}} {value} {ts_ms / 1000:.3f}'
        for instance, rows in samples.items()
        for ts_ms, value in rows
    ]
    text = tmp_path / "history.om"
    text.write_text("\n".join(["# TYPE history gauge", *lines, "# EOF", ""]))
    make = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(tmp_path / "tsdb")]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    config, port = tmp_path / "prometheus.yml", free_port()
    config.write_text("global: {}\n")
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=1y"]
    with (
        running(tmp_path / "data", environment=SEAL_OFTEN) as daemon,
        server(command, f"http://127.0.0.1:{port}/-/ready", tmp_path / "prometheus.log"),
    ):
        out, errors = run_import(
            tmp_path,
            *("--from-prometheus", f"http://127.0.0.1:{port}", "--match", "history", "--start", "now-5d"),
            *("--url", daemon.ingest_url),
        )
        assert b"samples=6000 refused=0" in out, (out, errors)
        assert hours(daemon) == expected(samples)
        # A file of the same samples changes nothing.
        out, errors = run_import(tmp_path, str(text), "--url", daemon.ingest_url)
        assert b"samples=6000 refused=0" in out, (out, errors)
        assert hours(daemon) == expected(samples)


def test_killed_while_it_imports(tmp_path: Path) -> None:
    """The daemon is killed three times in the middle; the import goes on with each start, and nothing counts twice."""
    samples = samples_of(100, NOW_MS // DAY_MS * DAY_MS - 9 * DAY_MS, 12_000)
    path = tmp_path / "history.jsonl"
    path.write_bytes(json_lines(samples))
    port = free_port()
    arguments = ("--ingest", f"127.0.0.1:{port}")
    environment = {"NISSA_STORAGE__SEAL_INTERVAL": "200ms"}
    process = None
    for _ in range(3):
        with running(tmp_path / "data", *arguments, environment=environment) as daemon:
            process = process or run_import(tmp_path, str(path), "--url", f"http://127.0.0.1:{port}", wait=False)
            before = imported(daemon)
            for _ in range(300):
                if imported(daemon) > before or process.poll() is not None:
                    break
                time.sleep(0.05)
            daemon.kill()
    assert process is not None
    with running(tmp_path / "data", *arguments, environment=environment) as daemon:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert b"samples=1200000 refused=0" in out, (out, errors)
        wait_folded(daemon)
        assert hours(daemon) == expected(samples)
        assert set(daemon.unaccounted().values()) == {0}


def imported(daemon: Daemon) -> int:
    """Frames of imports that were counted."""
    sources = daemon.get("/api/v1/accounting")["data"]["sources"]
    return int(sources.get("import/nissa_columns", {}).get("frames", 0))


def test_bad_lines_are_named_and_counted(tmp_path: Path) -> None:
    """Lines at fault are named with their numbers, the others are kept, and the accounting says the same."""
    body = b'{"metric":{"__name__":"history","instance":"a"},"timestamps":[%d,%d],"values":[1,2]}\n'
    good = body % (NOW_MS - 2 * DAY_MS, NOW_MS)
    old = body % (NOW_MS - 2 * DAY_MS, NOW_MS - 500 * DAY_MS)
    with running(tmp_path / "data", environment=SEAL_OFTEN) as daemon:
        status, answer = post(daemon, good + b"nothing\n" + old + b'{"metric":{}}\n')
        assert status == 400
        read = json.loads(answer)
        assert [one["line_number"] for one in read["data"]] == [2, 3, 4]
        assert (read["samples"], read["refused"]) == (3, {"record_malformed": 2, "too_old": 1})
        assert "acceptance.import_past" in read["data"][1]["error_message"]
        wait_folded(daemon)
        daemon.wait_sealed()
        counters = daemon.get("/api/v1/accounting")["data"]["sources"]["import/import_lines"]
        assert (counters["stored"], counters["duplicate"], counters["unaccounted"]) == (2, 1, 0)
        assert counters["refused"] == {"record_malformed": 2, "too_old": 1}
        assert sum(count for count, _ in hours(daemon).values()) == 2
