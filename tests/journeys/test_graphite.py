"""Graphite lines to the running daemon over TCP, read back by PromQL and export after a kill."""

import json
import socket
import time
from pathlib import Path
from urllib.parse import quote

from journeys.rig import Daemon, running

LISTEN = {"NISSA_SOURCES__GRAPHITE__LISTEN": "127.0.0.1:0"}


def send(daemon: Daemon, lines: bytes) -> None:
    """Connect, write and close, as ``nc -q0`` does."""
    host, _, port = daemon.started_source("graphite")["address"].rpartition(":")
    with socket.create_connection((host, int(port))) as link:
        link.sendall(lines)


def accounted(daemon: Daemon, received: int) -> dict[str, object]:
    """Counters of the source, once so many lines are in them and none is under way."""
    for _ in range(1_200):
        counters = daemon.get("/api/v1/accounting")["data"]["sources"].get("graphite/graphite", {})
        if counters.get("received") == received and not counters["in_flight"]:
            return dict(counters)
        time.sleep(0.05)
    raise AssertionError(f"{received} lines were sent: {counters}")


def exported(daemon: Daemon) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """(name, tag k) -> its samples."""
    status, body = daemon.request("GET", "/api/v1/export?match[]=" + quote('{__name__=~".+"}'))
    assert status == 200
    found = {}
    for line in body.splitlines():
        series = json.loads(line)
        key = (series["metric"]["__name__"], series["metric"].get("k", ""))
        found[key] = list(zip(series["timestamps"], series["values"], strict=True))
    return found


def test_lines_are_exported_exactly_after_a_kill(tmp_path: Path) -> None:
    """Lines of many connections are stored over kill -9, sample for sample; bad lines are counted and logged."""
    start_s = int(time.time()) - 60
    with running(tmp_path / "data", environment=LISTEN) as daemon:
        wanted: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for sender in range(20):
            lines = []
            for at in range(50):
                lines.append(f"app.web-{sender}.load;k=v{at % 2} {sender + at / 8} {start_s + at}")
                samples = wanted.setdefault((f"app.web-{sender}.load", f"v{at % 2}"), [])
                samples.append(((start_s + at) * 1000, sender + at / 8))
            send(daemon, "\n".join(lines).encode())
        send(daemon, b"nonsense\napp.old 1 5\napp.now 1\n")
        counters = accounted(daemon, 1003)
        assert counters["refused"] == {"record_malformed": 1, "too_old": 1}
        assert (counters["stored"], counters["unaccounted"]) == (1001, 0)
        daemon.kill()
    log = (tmp_path / "data.log").read_text()
    assert "a line ends before its value" in log
    assert "nonsense" in log
    with running(tmp_path / "data", environment=LISTEN) as daemon:
        found = exported(daemon)
        assert len(found.pop(("app.now", ""))) == 1
        assert found == wanted
        result = daemon.get("/api/v1/query?query=" + quote('count({"app.web-3.load"})'))["data"]["result"]
        assert result[0]["value"][1] == "2"
        metrics = daemon.started_source("graphite")
        assert (metrics["state"], metrics["buffered_bytes"]) == ("up", 0)


def test_an_address_in_use_leaves_the_rest_at_work(tmp_path: Path) -> None:
    """The source that cannot listen is named by readiness, and comes up once it can."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        daemon = Daemon(tmp_path / "data", environment={"NISSA_SOURCES__GRAPHITE__LISTEN": address})
        facts = daemon.started_source("graphite")
        assert facts["state"] == "failing"
        assert address in facts["error"]
    for _ in range(1_200):
        if daemon.get("/api/status")["sources"]["graphite"]["up"]:
            break
        time.sleep(0.05)
    send(daemon, b"a.b 1\n")
    assert accounted(daemon, 1)["stored"] == 1
    assert daemon.stop() == 0
