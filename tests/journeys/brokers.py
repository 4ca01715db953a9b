"""Real brokers for journeys: a Redis server with a file that survives a kill, and messages as Esper puts them there."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import nats.errors
import redis

from nissa._proto import leyline_pb2 as leyline
from oracle.ports import free_port

WAIT_S = 60
METRICS = 8


class RedisServer:
    """One redis-server with its append-only file in ``directory``."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self._arguments = arguments
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--dir", str(self.directory), "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "everysec", *self._arguments]
        with (self.directory / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.client: Any = redis.Redis(port=self.port, protocol=2)
        for _ in range(WAIT_S * 20):
            try:
                self.client.execute_command("PING")
            except redis.AuthenticationError:
                return
            except redis.RedisError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"redis-server does not answer; see {self.directory}/redis.log")

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def pending(self, stream: str, group: str = "nissa-observability") -> int:
        """Entries of the group that are not acknowledged, those not delivered yet included."""
        groups = self.client.xinfo_groups(stream)
        own = next((each for each in groups if each["name"] == group.encode()), None)
        if own is None:
            return int(self.client.xlen(stream))
        delivered = own["last-delivered-id"]
        return int(own["pending"]) + len(self.client.xrange(stream, b"(" + delivered, "+"))

    def wait_read(self, *streams: str) -> None:
        """Wait until everything in the streams is acknowledged."""
        for _ in range(WAIT_S * 20):
            if not any(self.pending(stream) for stream in streams):
                return
            time.sleep(0.05)
        raise RuntimeError(f"not read: { ({stream: self.pending(stream) for stream in streams}) }")


class BusLedger:
    """Packets put on a bus: each follows from its number alone, and has an id of its own."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.base_ms = int(time.time() * 1000) - 600_000
        self.count = 0

    def packet(self, number: int, source: str = "tolaria") -> Any:
        """The TelemetryPacket of a number."""
        draw = random.Random(self.seed * 1_000_003 + number)
        packet = leyline.TelemetryPacket(packet_id=f"{self.seed}-{number}", source_subsystem=source)
        packet.timestamp.FromMilliseconds(self.base_ms + number)
        for index in range(METRICS):
            packet.metrics.add(name=f"ledger.value{index}", value=draw.uniform(-1e9, 1e9), attributes={"job": "ledger"})
        return packet

    def messages(self, count: int) -> list[bytes]:
        """The next bus envelopes."""
        first, self.count = self.count, self.count + count
        return [bus(self.packet(number)) for number in range(first, first + count)]

    def check(self, found: dict[tuple[tuple[str, str], ...], dict[int, int]]) -> None:
        """Every sample that was put on the bus is there bit for bit, and nothing else."""
        expected = {}
        for number in range(self.count):
            packet = self.packet(number)
            for metric in packet.metrics:
                labels = {"__name__": metric.name.replace(".", "_"), "job": "ledger", "source": packet.source_subsystem}
                bits = struct.unpack("<Q", struct.pack("<d", metric.value))[0]
                expected[tuple(sorted(labels.items())), self.base_ms + number] = bits
        got = {(labels, ts_ms): bits for labels, series in found.items() for ts_ms, bits in series.items()}
        missing, invented = expected.keys() - got.keys(), got.keys() - expected.keys()
        altered = [key for key in expected.keys() & got.keys() if expected[key] != got[key]]
        if missing or invented or altered:
            raise AssertionError(
                f"seed {self.seed}: missing {len(missing)} {sorted(missing)[:2]}, invented {len(invented)} "
                f"{sorted(invented)[:2]}, altered {len(altered)} of {len(expected)}"
            )


def bus(packet: Any, kind: int = leyline.BUS_MESSAGE_TYPE_TELEMETRY) -> bytes:
    """A payload in a BusEnvelope."""
    return bytes(leyline.BusEnvelope(message_type=kind, payload=packet.SerializeToString()).SerializeToString())


def put(client: Any, stream: str, messages: list[bytes], **fields: str) -> None:
    """XADD each as ``payload``."""
    pipe = client.pipeline(transaction=False)
    for message in messages:
        pipe.execute_command(
            "XADD", stream, "*", "payload", message, *(part for pair in fields.items() for part in pair)
        )
    pipe.execute()


def oona(server_url: str, **settings: str) -> dict[str, str]:
    """The environment of a daemon that reads Oona there."""
    names = {f"NISSA_SOURCES__OONA__{name.upper()}": value for name, value in settings.items()}
    return {
        **os.environ,
        "NISSA_SOURCES__OONA__URL": server_url,
        "NISSA_SOURCES__OONA__POLL_INTERVAL": "200ms",
        **names,
    }


class NatsServer:
    """One nats-server with JetStream on files in ``directory``."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self._arguments = arguments
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.directory)]
        with (self.directory / "nats.log").open("ab") as log:
            self.process = subprocess.Popen([*command, *self._arguments], stdout=log, stderr=log)
        for _ in range(WAIT_S * 20):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as link:
                if link.recv(4).startswith(b"INFO"):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"nats-server does not answer; see {self.directory}/nats.log")

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def ask(self, work: Callable[[Any, Any], Awaitable[Any]], **options: Any) -> Any:
        """The result of ``work(client, jetstream)``."""

        async def run() -> Any:
            client = await nats.connect(
                self.url, allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=60, **options
            )
            try:
                return await work(client, client.jetstream(timeout=60))
            finally:
                await client.close()

        return asyncio.run(run())

    def make_stream(self, name: str, *subjects: str, **limits: Any) -> None:
        """A stream on files."""
        self.ask(lambda _, jetstream: jetstream.add_stream(name=name, subjects=list(subjects), **limits))

    def publish(self, subject: str, messages: list[bytes]) -> None:
        """Publish to a stream; each is acknowledged when this returns."""

        async def work(_: Any, jetstream: Any) -> None:
            for message in messages:
                await jetstream.publish(subject, message)

        self.ask(work)

    def wait_read(self, stream: str, durable: str = "nissa-observability") -> None:
        """Wait until the consumer has acknowledged everything in the stream."""

        async def work(_: Any, jetstream: Any) -> bool:
            with contextlib.suppress(nats.errors.Error, asyncio.TimeoutError):
                info = await jetstream.consumer_info(stream, durable)
                return not info.num_pending and not info.num_ack_pending
            return False

        for _ in range(WAIT_S * 10):
            if self.ask(work):
                return
            time.sleep(0.1)
        raise RuntimeError(f"stream {stream} is not read")


def from_nats(server_url: str, **settings: str) -> dict[str, str]:
    """The environment of a daemon that reads NATS there."""
    names = {f"NISSA_SOURCES__NATS__{name.upper()}": value for name, value in settings.items()}
    fast = {"NISSA_SOURCES__NATS__POLL_INTERVAL": "200ms", "NISSA_SOURCES__NATS__ACK_WAIT": "2s"}
    return {**os.environ, "NISSA_SOURCES__NATS__SERVERS": f'["{server_url}"]', **fast, **names}
