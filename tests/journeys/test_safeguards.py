"""Safeguards of a running daemon: breakers and modes open and close by themselves, and are shown."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cramjam
import pytest
from journeys.brokers import WAIT_S, BusLedger, RedisServer, oona, put
from journeys.rig import HEADERS, Daemon, Ledger, connect, nissa_command, post, running


def wait_for(condition: Callable[[], Any]) -> Any:
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + 2 * WAIT_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise RuntimeError("waited in vain")


def own_events(daemon: Daemon, description: str) -> list[dict[str, str]]:
    """Attributes of the events that the daemon reported about itself, oldest first."""
    found = daemon.get("/api/v1/events?source=nissa&limit=1000")["data"]["events"]
    found = sorted(found, key=lambda event: event["time_ms"])
    return [event["attributes"] for event in found if event["description"] == description]


@pytest.mark.needs_debian("redis-server")
def test_an_outage_opens_a_breaker_that_closes_by_itself(tmp_path: Path) -> None:
    """Redis is killed: the breaker of the source opens. Redis comes back: it closes, and no message is lost."""
    server, ledger = RedisServer(tmp_path / "redis"), BusLedger(1)
    put(server.client, "oona.telemetry", ledger.messages(20))

    def breaker() -> Any:
        return daemon.get("/api/status")["breakers"]["oona"]

    def changes() -> list[str]:
        found = own_events(daemon, "circuit_breaker.state_changed")
        return [each["to"] for each in found if each["breaker"] == "oona"]

    try:
        with running(tmp_path / "data", environment=oona(server.url)) as daemon:
            server.wait_read("oona.telemetry")
            assert breaker()["state"] == "closed"
            server.kill()
            wait_for(lambda: breaker()["opened"])
            assert breaker()["last_error"]
            server.start()
            put(server.client, "oona.telemetry", ledger.messages(20))
            wait_for(lambda: breaker()["state"] == "closed")
            server.wait_read("oona.telemetry")
            ledger.check(daemon.export())
            wait_for(lambda: changes()[-1:] == ["closed"])
            assert changes()[:2] == ["open", "half_open"]
            assert not any(daemon.unaccounted().values())
            assert daemon.stop() == 0
    finally:
        server.kill()


def test_load_enters_conservative_mode_and_its_end_leaves_it(tmp_path: Path) -> None:
    """Real CPU load enters the mode; with it gone the mode is left. An operator forces another one."""
    own = "NISSA_SAFEGUARDS__CONSERVATIVE_MODE__"
    environment = {
        f"{own}CPU_PERCENT": "10",
        f"{own}WINDOW": "300ms",
        f"{own}INTERVAL": "50ms",
        f"{own}DWELL": "500ms",
    }
    ledger = Ledger(7)

    def mode() -> str:
        return str(daemon.get("/api/v1/mode")["data"]["mode"])

    def sent_until_conservative() -> bool:
        claim = ledger.claim()
        assert post(link, ledger.body(claim)) == 204
        ledger.oblige(claim)
        for _ in range(20):
            assert post(link, broken) == 400
        return mode() == "conservative"

    # Decoded to its last byte and refused there: processor time of the daemon, and next to none of this process.
    bodies = [bytes(cramjam.snappy.decompress_raw(ledger.body(ledger.claim()))) for _ in range(500)]
    broken = bytes(cramjam.snappy.compress_raw(b"".join(bodies) + b"\xff"))

    with running(tmp_path / "data", environment=environment) as daemon:
        wait_for(lambda: mode() == "normal")
        link = connect(daemon.ingest_url)
        wait_for(sent_until_conservative)
        status, body = daemon.request("GET", "/api/v1/export?match[]=up")
        if mode() == "conservative":
            assert (status, b"exports are refused in conservative mode" in body) == (503, True)
        wait_for(lambda: mode() == "normal")
        changes = wait_for(lambda: [each for each in own_events(daemon, "mode.changed") if each["trigger"] == "clear"])
        assert changes[0]["from"] == "conservative"
        first = own_events(daemon, "mode.changed")[0]
        assert (first["to"], first["trigger"]) == ("conservative", "cpu")
        assert "cpu_percent" in first["reason"]
        shown = nissa_command("mode", "emergency", "--reason", "a drill", "--api", daemon.api_url).decode()
        assert "emergency (forced)" in shown
        assert "forced by the operator: a drill" in shown
        assert daemon.get("/api/status")["safeguards"]["mode"]["forced"] is True
        assert daemon.request("POST", "/api/v1/mode?mode=normal")[0] == 200
        ledger.check(daemon.export())
        assert not any(daemon.unaccounted().values())
        assert daemon.stop() == 0


def test_high_priority_passes_under_overload(tmp_path: Path) -> None:
    """Many senders fill the queue: frames of low priority are refused and counted, critical ones are all stored."""
    environment = {
        "NISSA_INGEST__QUEUE_FRAMES_MAX": "20",
        "NISSA_STORAGE__COMMIT_LINGER": "100ms",  # a slow disk
        "NISSA_SAFEGUARDS__CONSERVATIVE_MODE__QUEUE_PERCENT": "100",
        "NISSA_SAFEGUARDS__RATE_LIMITS__RULES": '[{"tenant":"*","samples_per_second":1,"burst":"1m"}]',
    }
    ledger, lock, enough = Ledger(9), threading.Lock(), threading.Event()
    statuses: Counter[tuple[str, int]] = Counter()

    def send(priority: str) -> None:
        link = connect(daemon.ingest_url)
        headers = {**HEADERS, "X-Nissa-Priority": priority}
        while not enough.is_set():
            with lock:
                claim = ledger.claim()
            link.request("POST", "/api/v1/write", ledger.body(claim), headers)
            reply = link.getresponse()
            reply.read()
            with lock:
                statuses[priority, reply.status] += 1
                if reply.status == 204:
                    ledger.oblige(claim)
                else:
                    assert 1 <= int(reply.headers["Retry-After"]) <= 3
            if reply.status != 204:
                time.sleep(0.02)

    with running(tmp_path / "data", environment=environment) as daemon:
        priorities = ["low"] * 15 + ["normal"] * 15 + ["critical"] * 3
        threads = [threading.Thread(target=send, args=(priority,)) for priority in priorities]
        for thread in threads:
            thread.start()
        wait_for(lambda: statuses["low", 503] > 50 and statuses["critical", 204] > 10 and statuses["normal", 204] > 10)
        enough.set()
        for thread in threads:
            thread.join()
        assert statuses["critical", 503] == 0
        link = connect(daemon.ingest_url)
        for _ in range(5):  # with the overload gone even low priority passes, without a restart
            claim = ledger.claim()
            link.request("POST", "/api/v1/write", ledger.body(claim), {**HEADERS, "X-Nissa-Priority": "low"})
            reply = link.getresponse()
            reply.read()
            assert reply.status == 204
            ledger.oblige(claim)
        accounting = daemon.get("/api/v1/accounting")["data"]
        shed = accounting["shed_frames"]["http/remote_write_1"]
        assert shed["low"] == {"pressure": statuses["low", 503]}
        assert shed.get("normal", {"pressure": 0}) == {"pressure": statuses["normal", 503]}
        limit_a_tenant(daemon, ledger)
        assert not any(daemon.unaccounted().values())
        ledger.check(daemon.export())
        assert daemon.stop() == 0


def limit_a_tenant(daemon: Daemon, ledger: Ledger) -> None:
    """A tenant over its limit gets 429 with Retry-After, while another one is served."""
    link = connect(daemon.ingest_url)

    def send(tenant: str) -> Any:
        claim = ledger.claim()
        link.request("POST", "/api/v1/write", ledger.body(claim), {**HEADERS, "X-Scope-OrgID": tenant})
        reply = link.getresponse()
        text = reply.read()
        if reply.status == 204:
            ledger.oblige(claim)
        return reply.status, text, reply.headers

    answers = [send("team-a") for _ in range(6)]  # a minute's worth are three of them
    assert [status for status, _, _ in answers][:3] == [204] * 3
    status, text, headers = answers[-1]
    assert (status, b"tenant team-a is over its limit of 1 samples per second" in text) == (429, True)
    assert int(headers["Retry-After"]) >= 1
    assert send("team-b")[0] == 204
