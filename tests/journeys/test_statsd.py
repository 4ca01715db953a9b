"""StatsD to the running daemon over UDP and TCP, as its clients send it, read back exactly after a kill."""

import json
import socket
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from journeys.rig import Daemon, running

SETTINGS = {"NISSA_SOURCES__STATSD__LISTEN": "127.0.0.1:0", "NISSA_SOURCES__STATSD__FLUSH_INTERVAL": "500ms"}


def address_of(daemon: Daemon) -> tuple[str, int]:
    host, _, port = daemon.started_source("statsd")["address"].rpartition(":")
    return host, int(port)


def wait_for(daemon: Daemon, query: str, value: str) -> None:
    """Wait until an instant query has this value."""
    found = ""
    for _ in range(1_200):
        result = daemon.get(f"/api/v1/query?query={quote(query)}")["data"]["result"]
        found = result[0]["value"][1] if result else ""
        if found == value:
            return
        time.sleep(0.05)
    raise AssertionError(f"{query} is {found!r}, not {value}")


def exported(daemon: Daemon, selector: str) -> list[tuple[int, float]]:
    """Samples of the one series that a selector means."""
    status, body = daemon.request("GET", "/api/v1/export?match[]=" + quote(selector))
    assert status == 200
    (line,) = body.splitlines()
    series = json.loads(line)
    return list(zip(series["timestamps"], series["values"], strict=True))


def test_lines_add_up_over_a_kill(tmp_path: Path) -> None:
    """Flushed samples survive kill -9 exactly; counters begin again at 0, and increase() is exact."""
    with running(tmp_path / "data", environment=SETTINGS) as daemon:
        place = address_of(daemon)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(200):
                packet = [b"web.hits:1|c|#dc:ams"] * 10 + [b"depth:%d|g" % number, b"users:u%d|s" % (number % 7)]
                sender.sendto(b"\n".join(packet), place)
            sender.sendto(b"\n".join(b"api.time:%d|ms" % number for number in range(1, 101)), place)
            sender.sendto(b"\x00\xff\x00garbage", place)
            sender.sendto(b"_e{6,4}:deploy|done|t:warning|#env:prod\n_sc|db|2|m:down", place)
        with socket.create_connection(place) as link:
            link.sendall(b"web.hits:5|c|#dc:ams\n")
        wait_for(daemon, 'web_hits_total{dc="ams"}', "2005")
        wait_for(daemon, "depth", "199")
        wait_for(daemon, "api_time_count", "100")
        wait_for(daemon, "max_over_time(users[1m])", "7")
        found = float(daemon.get(f"/api/v1/query?query={quote(MEDIAN)}")["data"]["result"][0]["value"][1])
        assert found == pytest.approx(0.050, rel=0.011)
        wait_for(daemon, 'max_over_time(api_time{quantile="1"}[1m])', "0.1")
        before = exported(daemon, "web_hits_total")
        events = daemon.get("/api/v1/events?limit=10")["data"]["events"]
        assert {event["description"] for event in events} == {"deploy", "db"}
        facts = daemon.get("/api/status")["sources"]["statsd"]
        assert (facts["lines_malformed"], facts["datagrams_dropped"]) == (1, 0)
        daemon.kill()
    with running(tmp_path / "data", environment=SETTINGS) as daemon:
        assert exported(daemon, "web_hits_total")[: len(before)] == before
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"web.hits:3|c|#dc:ams", address_of(daemon))
        wait_for(daemon, "web_hits_total", "3")
        after = exported(daemon, "web_hits_total")
        values = [value for _, value in after]
        assert values[0] == 0.0
        assert sum(max(now - last, 0.0) for last, now in pairwise(values)) == 2008.0
        assert daemon.stop() == 0
    with running(tmp_path / "data", environment=SETTINGS) as daemon:
        for name, counters in daemon.get("/api/v1/accounting")["data"]["sources"].items():
            assert counters["unaccounted"] == 0, name


MEDIAN = 'max_over_time(api_time{quantile="0.5"}[1m])'


def test_an_orderly_stop_flushes(tmp_path: Path) -> None:
    """SIGTERM flushes the lines received since the last flush."""
    settings = {**SETTINGS, "NISSA_SOURCES__STATSD__FLUSH_INTERVAL": "1h"}
    daemon = Daemon(tmp_path / "data", environment=settings)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"jobs:7|c", address_of(daemon))
    for _ in range(1_200):
        if daemon.get("/api/status")["sources"]["statsd"]["lines"]:
            break
        time.sleep(0.05)
    assert daemon.stop() == 0
    with running(tmp_path / "data") as daemon:
        assert [value for _, value in exported(daemon, "jobs_total")] == [0.0, 7.0]
