"""NATS on a real server: messages of the stream are exported exactly, over any kill; alerts are events."""

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from journeys.brokers import METRICS, WAIT_S, BusLedger, NatsServer, bus, from_nats
from journeys.rig import BUSY, Daemon, Export, running

from nissa._proto import generic_event_pb2 as fes

pytestmark = pytest.mark.needs_debian("nats-server")
STREAM = "telemetry"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of this test's own, with a stream."""
    server = NatsServer(tmp_path / "nats")
    server.make_stream(STREAM, "esper.>")
    yield server
    server.kill()


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
    found: dict[str, Any] = daemon.get("/api/status")["sources"]["nats"]
    return found


class Producer:
    """A thread that publishes packets until it is stopped, again while the server is away."""

    def __init__(self, server: NatsServer, ledger: BusLedger) -> None:
        self._server, self._ledger = server, ledger
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    async def _run(self) -> None:
        left: list[bytes] = []
        while left or not self._stop.is_set():
            with contextlib.suppress(nats.errors.Error, asyncio.TimeoutError, OSError):
                client = await nats.connect(
                    self._server.url, allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=2
                )
                jetstream = client.jetstream(timeout=3)
                while left or not self._stop.is_set():
                    left = left or self._ledger.messages(20)
                    while left:
                        await jetstream.publish("esper.telemetry", left[0])
                        del left[0]
                    await asyncio.sleep(0.05)  # some hundred a second: more of them prove the same
                await client.close()
            await asyncio.sleep(0.1)

    def stop(self) -> None:
        """Publish nothing more."""
        self._stop.set()
        self._thread.join()


def test_what_is_in_the_stream_is_exported(tmp_path: Path, server: NatsServer) -> None:
    """Messages from before the consumer and after it are exported exactly and acknowledged."""
    ledger = BusLedger(11)
    server.publish("esper.telemetry", ledger.messages(300))
    with running(tmp_path / "data", environment=from_nats(server.url, stream=STREAM)) as daemon:
        server.publish("esper.normal", ledger.messages(200))
        server.wait_read(STREAM)
        ledger.check(daemon.export())
        assert not any(daemon.unaccounted().values())
        wait_for(lambda: facts(daemon)["acknowledged"] == 500)  # it is counted after the server has heard it
        assert facts(daemon)["state"] == "up"
        assert daemon.stop() == 0


def test_alert_events(tmp_path: Path, server: NatsServer) -> None:
    """Alert events of core subjects and of the stream, as protobuf, JSON or text, are critical events."""
    subjects = '["system.error.*","simulation_worker.process_crash","esper.alerts.>"]'
    request = fes.GenericEventRequest(event_id="e-1", event_type="crash", worker_id="w-3", simulation_id="sim-9")
    settings = from_nats(server.url, stream=STREAM, subjects=subjects)
    with running(tmp_path / "data", environment=settings) as daemon:
        wait_for(lambda: facts(daemon)["state"] == "up")

        async def publish(client: Any, jetstream: Any) -> None:
            await client.publish("simulation_worker.process_crash", request.SerializeToString())
            await client.publish("system.error.critical", json.dumps({"id": "e-2", "worker": "w-4"}).encode())
            await client.publish("system.error.disk", b"disk full")
            await client.publish("other.subject", b"not subscribed to")
            await jetstream.publish("esper.alerts.gpu", b'{"id": "e-3", "type": "gpu_lost"}')

        server.ask(publish)
        wait_for(lambda: len(daemon.get("/api/v1/events?limit=10")["data"]["events"]) == 4)
        found = {
            each["attributes"]["subject"]: each for each in daemon.get("/api/v1/events?limit=10")["data"]["events"]
        }
        crash = found["simulation_worker.process_crash"]
        assert (crash["description"], crash["event_id"]) == ("crash", "e-1")
        assert (crash["attributes"]["worker"], crash["attributes"]["simulation"]) == ("w-3", "sim-9")
        assert found["system.error.critical"]["attributes"]["worker"] == "w-4"
        assert found["system.error.disk"]["attributes"]["message"] == "disk full"
        assert found["esper.alerts.gpu"]["description"] == "gpu_lost"
        assert {str(each["level"]).lower() for each in found.values()} <= {"4", "critical"}


def test_killed_and_started_again(tmp_path: Path, server: NatsServer) -> None:
    """SIGKILL again and again under load: in the end every packet is stored exactly once and acknowledged."""
    ledger, draw = BusLedger(12), random.Random(12)
    producer = Producer(server, ledger)
    settings = {**from_nats(server.url, stream=STREAM), **BUSY}
    for _ in range(3):
        with running(tmp_path / "data", environment=settings) as daemon:
            time.sleep(draw.uniform(0.3, 1.0))
            daemon.kill()
    producer.stop()
    with running(tmp_path / "data", environment=settings) as daemon:
        server.wait_read(STREAM)
        ledger.check(daemon.export())
        assert not any(daemon.unaccounted().values())
        assert facts(daemon)["dead_letters"] == {}


def test_the_broker_is_killed_and_paused(tmp_path: Path, server: NatsServer) -> None:
    """A server that is killed, started again on its files and later stopped for a while loses nothing."""
    ledger = BusLedger(13)
    with running(tmp_path / "data", environment=from_nats(server.url, stream=STREAM, timeout="3s")) as daemon:
        producer = Producer(server, ledger)
        time.sleep(1.0)
        server.kill()
        wait_for(lambda: facts(daemon)["state"] == "failing")
        assert "sources.nats: NATS at nats://127.0.0.1" in daemon.request("GET", "/-/ready")[1].decode()
        server.start()
        wait_for(lambda: facts(daemon)["state"] == "up")
        server.pause()
        wait_for(lambda: facts(daemon)["state"] == "failing")
        server.resume()
        wait_for(lambda: facts(daemon)["state"] == "up")
        producer.stop()
        server.wait_read(STREAM)
        ledger.check(daemon.export())
        assert not any(daemon.unaccounted().values())


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """No server, then no stream, then both: readiness names the missing one, and everything is read in the end."""
    server = NatsServer(tmp_path / "nats")
    server.kill()
    ledger = BusLedger(14)
    with running(tmp_path / "data", environment=from_nats(server.url, stream=STREAM)) as daemon:
        assert b"Source is not up: sources.nats: " in daemon.request("GET", "/-/ready")[1]
        server.start()
        wait_for(lambda: b"waiting for stream telemetry, which does not exist" in daemon.request("GET", "/-/ready")[1])
        server.make_stream(STREAM, "esper.>")
        server.publish("esper.telemetry", ledger.messages(20))
        server.wait_read(STREAM)
        ledger.check(daemon.export())
    server.kill()


def test_wrong_credentials(tmp_path: Path) -> None:
    """The settings to check are named; with the token from a file the server is reached."""
    server = NatsServer(tmp_path / "nats", "--auth", "hunter2")
    try:
        with running(tmp_path / "data", environment=from_nats(server.url)) as daemon:
            error = wait_for(lambda: facts(daemon)["error"])
            assert "refuses the credentials" in error
            assert "sources.nats.token_file" in error
        (tmp_path / "token").write_text("hunter2\n")
        settings = from_nats(server.url, token_file=str(tmp_path / "token"))
        with running(tmp_path / "data", environment=settings) as daemon:
            wait_for(lambda: facts(daemon)["state"] == "up")
    finally:
        server.kill()


def test_what_cannot_be_stored_and_what_vanishes(tmp_path: Path, server: NatsServer) -> None:
    """Messages that cannot be decoded are dead letters; a deleted consumer is made again behind the durable messages;
    messages that the stream dropped unread are counted."""
    ledger = BusLedger(15)
    server.make_stream("dead", "dead.letters")
    settings = from_nats(server.url, stream=STREAM, dead_letter_subject="dead.letters")
    with running(tmp_path / "data", environment=settings) as daemon:
        server.publish("esper.telemetry", [*ledger.messages(10), b"\x08\x04\x12\x02\xff\xff", *ledger.messages(10)])
        server.wait_read(STREAM)
        wait_for(lambda: facts(daemon)["dead_letters"] == {"record_malformed": 1})
        letter = server.ask(lambda _, jetstream: jetstream.get_last_msg("dead", "dead.letters"))
        assert (letter.data, letter.headers["Nissa-Reason"]) == (b"\x08\x04\x12\x02\xff\xff", "record_malformed")
        time.sleep(1.0)  # the position is written
        server.ask(lambda _, jetstream: jetstream.delete_consumer(STREAM, "nissa-observability"))
        wait_for(lambda: facts(daemon)["consumers_made"] == 2)
        server.publish("esper.telemetry", ledger.messages(10))
        server.wait_read(STREAM)
        ledger.check(daemon.export())
        daemon.kill()
    read = ledger.count
    server.publish("esper.telemetry", ledger.messages(50))
    server.ask(lambda _, jetstream: jetstream.update_stream(name=STREAM, subjects=["esper.>"], max_msgs=5))
    with running(tmp_path / "data", environment=settings) as daemon:
        server.wait_read(STREAM)
        wait_for(lambda: facts(daemon)["lost"] == {STREAM: 45})
        stored = sum(len(series) for series in daemon.export('{__name__="ledger_value0"}').values())
        assert stored == read + 5
        assert bus(ledger.packet(0))


def test_several_processes_share_a_consumer(tmp_path: Path, server: NatsServer) -> None:
    """Two processes, killed in turn under load: the union of their directories is exact."""
    ledger = BusLedger(16)
    settings = from_nats(server.url, stream=STREAM)
    names = ["a", "b"]
    daemons = {name: Daemon(tmp_path / name, environment=settings) for name in names}
    try:
        producer = Producer(server, ledger)
        for name in [*names, *names]:
            time.sleep(0.7)
            daemons[name].kill()
            daemons[name] = Daemon(tmp_path / name, environment=settings)
        producer.stop()
        server.wait_read(STREAM)
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
    finally:
        for daemon in daemons.values():
            daemon.kill()
