"""Oona on a real Redis: messages of the streams are exported exactly, over any kill."""

import base64
import hmac
import random
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from journeys.brokers import METRICS, WAIT_S, BusLedger, RedisServer, bus, oona, put
from journeys.rig import BUSY, Daemon, Export, running

from nissa._proto import leyline_pb2 as leyline

pytestmark = pytest.mark.needs_debian("redis-server")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.kill()


def test_what_is_on_the_streams_is_exported(tmp_path: Path, server: RedisServer) -> None:
    """Entries from before the group and after it, of all streams, are exported exactly and acknowledged."""
    ledger = BusLedger(1)
    put(server.client, "oona.telemetry", ledger.messages(500))
    server.client.xadd("oona.normal", {"bootstrap": b""})
    with running(tmp_path / "data", environment=oona(server.url)) as daemon:
        put(server.client, "oona.normal", ledger.messages(300))
        server.wait_read("oona.normal", "oona.telemetry")
        put(server.client, "oona.emergency", ledger.messages(10))
        server.wait_read("oona.emergency")
        ledger.check(daemon.export())
        assert not any(daemon.unaccounted().values())
        assert facts(daemon)["state"] == "up"
        wait_for(lambda: facts(daemon)["acknowledged"] == 811)  # it is counted after the server has heard it
        assert daemon.stop() == 0


def http_get(url: str) -> str:
    """The body at ``url``."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def wait_for(condition: Callable[[], Any]) -> Any:
    """The first true answer of ``condition``."""
    for _ in range(WAIT_S * 10):
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise RuntimeError("waited in vain")


def facts(daemon: Daemon) -> dict[str, Any]:
    """The status of the source."""
    found: dict[str, Any] = daemon.get("/api/status")["sources"]["oona"]
    return found


class Producer:
    """A thread that puts packets on a stream until it is stopped, and waits while the server is away."""

    def __init__(self, server: RedisServer, ledger: BusLedger, stream: str = "oona.telemetry") -> None:
        self._server, self._ledger, self._stream = server, ledger, stream
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            messages = self._ledger.messages(20)
            while True:
                try:
                    put(self._server.client, self._stream, messages)
                    break
                except redis.RedisError:
                    time.sleep(0.1)  # put again: those with an id that was put before are stored once

    def stop(self) -> None:
        """Put nothing more."""
        self._stop.set()
        self._thread.join()


def test_killed_and_started_again(tmp_path: Path, server: RedisServer) -> None:
    """SIGKILL again and again under load: in the end every packet is stored exactly once and acknowledged."""
    ledger, draw = BusLedger(2), random.Random(2)
    producer = Producer(server, ledger)
    for _ in range(4):
        with running(tmp_path / "data", environment={**oona(server.url), **BUSY}) as daemon:
            time.sleep(draw.uniform(0.2, 1.0))
            daemon.kill()
    producer.stop()
    with running(tmp_path / "data", environment={**oona(server.url), **BUSY}) as daemon:
        server.wait_read("oona.telemetry")
        ledger.check(daemon.export())
        assert not any(daemon.unaccounted().values())
        assert facts(daemon)["dead_letters"] == {}


def test_the_broker_is_killed_and_paused(tmp_path: Path, server: RedisServer) -> None:
    """A broker that is killed, started again from its file and later stopped for a while loses nothing at Nissa."""
    ledger = BusLedger(3)
    settings = oona(server.url, timeout="2s")
    with running(tmp_path / "data", environment=settings) as daemon:
        producer = Producer(server, ledger)
        time.sleep(1.5)
        server.kill()
        wait_for(lambda: facts(daemon)["state"] == "failing")
        assert "sources.oona: Redis at redis://127.0.0.1" in daemon.request("GET", "/-/ready")[1].decode()
        server.start()
        wait_for(lambda: facts(daemon)["state"] == "up")
        server.pause()
        wait_for(lambda: facts(daemon)["state"] == "failing")
        server.resume()
        wait_for(lambda: facts(daemon)["state"] == "up")
        producer.stop()
        # The append-only file is written every second: what the broker lost with its kill is put again.
        put(server.client, "oona.normal", [bus(ledger.packet(number)) for number in range(ledger.count)])
        server.wait_read("oona.telemetry", "oona.normal")
        ledger.check(daemon.export())
        assert not any(daemon.unaccounted().values())


def test_a_server_that_is_away_at_the_start(tmp_path: Path) -> None:
    """Nissa starts, names the missing server, works otherwise, and reads once the server is there."""
    ledger = BusLedger(4)
    server = RedisServer(tmp_path / "redis")
    put(server.client, "oona.telemetry", ledger.messages(10))
    time.sleep(1.5)  # the append-only file is written every second
    server.kill()
    with running(tmp_path / "data", environment=oona(server.url)) as daemon:
        status, body = daemon.request("GET", "/-/ready")
        assert status == 200
        assert b"Source is not up: sources.oona: " in body
        server.start()
        server.wait_read("oona.telemetry")
        ledger.check(daemon.export())
    server.kill()


def test_wrong_credentials(tmp_path: Path) -> None:
    """The settings to check are named; with the password from a file the streams are read."""
    server = RedisServer(tmp_path / "redis", "--requirepass", "hunter2")
    try:
        with running(tmp_path / "data", environment=oona(server.url)) as daemon:
            error = wait_for(lambda: facts(daemon)["error"])
            assert "refuses the credentials" in error
            assert "sources.oona.password_file" in error
        (tmp_path / "password").write_text("hunter2\n")
        settings = oona(server.url, password_file=str(tmp_path / "password"))
        with running(tmp_path / "data", environment=settings) as daemon:
            wait_for(lambda: facts(daemon)["state"] == "up")
    finally:
        server.kill()


def signed(message: bytes, secret: bytes) -> str:
    """The signature that Esper puts beside a payload."""
    return base64.b64encode(hmac.digest(secret, message, "sha256")).decode()


def test_a_wrong_secret_loses_nothing(tmp_path: Path, server: RedisServer) -> None:
    """While no signature matches, nothing is acknowledged and it is said so; with the right secret all is read, and
    what is not signed with it is a dead letter."""
    ledger = BusLedger(5)
    for message in ledger.messages(30):
        put(server.client, "oona.telemetry", [message], signature=signed(message, b"right"))
    put(server.client, "oona.telemetry", [b"unsigned"])
    put(server.client, "oona.telemetry", [b"forged"], signature=signed(b"forged", b"other"))
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    with running(tmp_path / "data", environment=oona(server.url, secret_file=str(secret))) as daemon:
        wait_for(lambda: "(31 entries do not match)" in " ".join(facts(daemon)["waiting_for"]))
        assert b"waiting for a signature that matches" in daemon.request("GET", "/-/ready")[1]
        wait_for(lambda: facts(daemon)["acknowledged"] == 1)
        secret.write_text("right\n")
        server.wait_read("oona.telemetry")
        ledger.check(daemon.export())
        wait_for(lambda: facts(daemon)["dead_letters"] == {"signature_missing": 1, "signature": 1})
    letters = [fields for _, fields in server.client.xrange("oona.deadletter")]
    letters = [dict(zip(flat[::2], flat[1::2], strict=True)) if isinstance(flat, list) else flat for flat in letters]
    assert {letter[b"payload"] for letter in letters} == {b"unsigned", b"forged"}
    assert {letter[b"nissa_reason"] for letter in letters} == {b"signature_missing", b"signature"}


def test_what_cannot_be_stored_is_a_dead_letter(tmp_path: Path, server: RedisServer) -> None:
    """Entries of no form, of the wrong time, and without a payload go there; their neighbours are stored."""
    ledger = BusLedger(6)
    old = ledger.packet(10_000)
    old.timestamp.FromMilliseconds(1_000)
    with running(tmp_path / "data", environment=oona(server.url)) as daemon:
        put(server.client, "oona.telemetry", ledger.messages(5))
        put(server.client, "oona.telemetry", [b"\x08\x04\x12\x02\xff\xff", bus(old), b"", b'{"payload": 5}'])
        server.client.xadd("oona.telemetry", {"other": "x"})
        put(server.client, "oona.telemetry", ledger.messages(5))
        server.wait_read("oona.telemetry")
        ledger.check(daemon.export())
        wait_for(lambda: facts(daemon)["dead_letters"] == {"record_malformed": 1, "too_old": 1, "payload_missing": 1})
        assert not any(daemon.unaccounted().values())
    assert server.client.xlen("oona.deadletter") == 3


def test_groups_streams_and_entries_that_vanish(tmp_path: Path, server: RedisServer) -> None:
    """A group that is destroyed, everything flushed, entries trimmed unread: reading goes on, the loss is counted."""
    ledger = BusLedger(7)
    with running(tmp_path / "data", environment=oona(server.url)) as daemon:
        put(server.client, "oona.telemetry", ledger.messages(50))
        server.wait_read("oona.telemetry")
        server.client.xgroup_destroy("oona.telemetry", "nissa-observability")
        put(server.client, "oona.telemetry", ledger.messages(50))
        wait_for(lambda: facts(daemon)["groups_made"] == 2)
        server.wait_read("oona.telemetry")
        server.client.flushall()
        put(server.client, "oona.telemetry", ledger.messages(50))
        wait_for(lambda: facts(daemon)["groups_made"] == 3)
        server.wait_read("oona.telemetry")
        ledger.check(daemon.export())
        daemon.process.send_signal(signal.SIGSTOP)
        read = ledger.count
        put(server.client, "oona.telemetry", ledger.messages(1_500))
        server.client.xtrim("oona.telemetry", maxlen=100, approximate=False)
        daemon.process.send_signal(signal.SIGCONT)
        server.wait_read("oona.telemetry")
        stored = sum(len(series) for series in daemon.export('{__name__="ledger_value0"}').values())
        lost = read + 1_500 - stored
        assert lost > 0
        wait_for(lambda: facts(daemon)["lost"] == {"oona.telemetry": lost})
        metrics = http_get(f"{daemon.ingest_url}/metrics")
        assert f'nissa_source_lost_entries_total{{source="oona",stream="oona.telemetry"}} {float(lost)}' in metrics


def test_entries_trimmed_in_the_hands_of_another_consumer(tmp_path: Path, server: RedisServer) -> None:
    """They are left to it; those that it has not acknowledged for ``claim_idle`` are lost, and are counted once."""
    stream, group = "oona.telemetry", "nissa-observability"
    ledger = BusLedger(9)
    put(server.client, stream, ledger.messages(5))
    server.client.xgroup_create(stream, group, "0")
    ids = [entry[0] for entry in server.client.xreadgroup(group, "other", {stream: ">"})[0][1]]
    server.client.xtrim(stream, maxlen=0, approximate=False)

    def look(daemon: Daemon) -> None:
        """Wait until the stream was looked at anew."""
        put(server.client, stream, ledger.messages(1))
        depth = server.client.xlen(stream)
        wait_for(lambda: facts(daemon)["depth"].get(stream) == depth)

    with running(tmp_path / "data", environment=oona(server.url)) as daemon:
        for _ in range(3):  # between two looks abandoned entries are taken over
            look(daemon)
        assert server.client.xack(stream, group, *ids[:2]) == 2
        assert facts(daemon)["lost"] == {}
    with running(tmp_path / "data", environment=oona(server.url, claim_idle="1s")) as daemon:
        wait_for(lambda: facts(daemon)["lost"] == {stream: 3})
        server.wait_read(stream)
        look(daemon)
        look(daemon)
        assert (facts(daemon)["lost"], facts(daemon)["claimed"]) == ({stream: 3}, 0)
        assert sum(len(series) for series in daemon.export('{__name__="ledger_value0"}').values()) == ledger.count - 5


def test_emergencies_and_reports_are_events(tmp_path: Path, server: RedisServer) -> None:
    """Esper's other messages are events and metrics, and are counted under the names of the first Nissa."""
    signal_ = leyline.EmergencySignal(level=4, reason="nan", origin="tolaria")
    report = leyline.FieldReport(report_id="r", outcome=1)
    report.metrics["loss_delta"] = -0.25
    with running(tmp_path / "data", environment=oona(server.url)) as daemon:
        put(server.client, "oona.emergency", [bus(signal_, 10)])
        put(server.client, "oona.normal", [bus(report, 3)])
        server.wait_read("oona.emergency", "oona.normal")
        found = daemon.get("/api/v1/events?limit=10")["data"]["events"]
        assert {event["description"] for event in found} == {"emergency_signal", "field_report"}
        assert len(daemon.export("tamiyo_field_reports_loss_delta")) == 1
        assert 'esper_field_reports_total{outcome="success"} 1.0' in http_get(f"{daemon.ingest_url}/metrics")


def test_several_processes_share_a_group(tmp_path: Path, server: RedisServer) -> None:
    """Three processes, each killed in turn under load: the union of their directories is exact, an entry is there twice
    only where it was taken over."""
    ledger = BusLedger(8)
    settings = oona(server.url, claim_idle="1s")
    names = ["a", "b", "c"]
    daemons = {name: Daemon(tmp_path / name, environment=settings) for name in names}
    try:
        producer = Producer(server, ledger)
        for name in names:
            time.sleep(0.7)
            daemons[name].kill()
            daemons[name] = Daemon(tmp_path / name, environment=settings)
        producer.stop()
        server.wait_read("oona.telemetry")
        union: Export = {}
        copies = 0
        for daemon in daemons.values():
            for labels, series in daemon.export().items():
                copies += len(series)
                union.setdefault(labels, {}).update(series)
            assert not any(daemon.unaccounted().values())
        ledger.check(union)
        twice = (copies - sum(map(len, union.values()))) // METRICS
        print(f"{ledger.count} packets, {twice} in two directories")
        assert sum(facts(daemon)["dead_letters"] != {} for daemon in daemons.values()) == 0
    finally:
        for daemon in daemons.values():
            daemon.kill()
