"""Message buses end to end: a backlog of packets in a real broker, read, made durable and acknowledged.

    python bench/buses.py [--bus oona|nats] [--packets 40000] [--metrics 64] [--events 0]

The broker, the daemon and this program share the machine. Time runs from the first acknowledgement that is seen to the
last; then the count of the accounting must be that of what was sent. Prints points (or events) per second, and the
processor time of daemon and broker per million of them.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import nats
from journeys.brokers import NatsServer, RedisServer, from_nats, oona
from journeys.rig import Daemon

from nissa._proto import leyline_pb2 as leyline
from nissa.codec.delimited import varint

TICKS = os.sysconf("SC_CLK_TCK")
TEMPLATES = 50
POLL_S = 0.05


def messages(packets: int, metrics: int, events: int) -> Iterator[bytes]:
    """Bus envelopes, each with a packet id of its own."""
    now_ms = int(time.time() * 1000)
    bodies = []
    for template in range(TEMPLATES):
        packet = leyline.TelemetryPacket()
        for number in range(metrics):
            labels = {"node": f"gpu-{template}"}
            packet.metrics.add(name=f"tolaria.bench.m{number}", value=template + number / 7, attributes=labels)
        for number in range(events):
            packet.events.add(
                event_id=f"evt-{number}", description="seed_operation", level=1, attributes={"seed": "s-1"}
            )
        bodies.append(packet.SerializeToString())
    for number in range(packets):
        head = leyline.TelemetryPacket(packet_id=f"bench-{number}", source_subsystem="tolaria")
        head.timestamp.FromMilliseconds(now_ms - packets + number)
        payload = head.SerializeToString() + bodies[number % TEMPLATES]
        yield b"\x08\x04\x12" + varint(len(payload)) + payload


def fill_redis(server: RedisServer, bodies: Iterator[bytes]) -> None:
    """All into one stream."""
    pipe = server.client.pipeline(transaction=False)
    for number, body in enumerate(bodies, 1):
        pipe.execute_command("XADD", "oona.telemetry", "*", "payload", body)
        if number % 1_000 == 0:
            pipe.execute()
    pipe.execute()


def fill_nats(server: NatsServer, bodies: Iterator[bytes]) -> None:
    """All into one stream; publishing goes on without waiting for each."""

    async def fill() -> None:
        client = await nats.connect(server.url, pending_size=64 << 20)
        jetstream = client.jetstream(publish_async_max_pending=2_000)
        for body in bodies:
            await jetstream.publish_async("esper.telemetry", body, wait_stall=30)
        await jetstream.publish_async_completed()
        await client.close()

    asyncio.run(fill())


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(daemon: Daemon, server: Any, packets: int, records: int, bus: str) -> None:
    """Wait until all is acknowledged; print the figures."""
    start_s, start_cpu, first = 0.0, (0.0, 0.0), 0
    while True:
        acknowledged = daemon.get("/api/status")["sources"][bus].get("acknowledged", 0)
        if acknowledged and not start_s:
            start_s, first = time.monotonic(), acknowledged
            start_cpu = cpu_s(daemon.process.pid), cpu_s(server.process.pid)
        if acknowledged >= packets:
            break
        time.sleep(POLL_S)
    took_s = time.monotonic() - start_s
    done = (packets - first) * records / 1e6
    own, broker = cpu_s(daemon.process.pid) - start_cpu[0], cpu_s(server.process.pid) - start_cpu[1]
    stored = sum(c["stored"] for c in daemon.get("/api/v1/accounting")["data"]["sources"].values())
    if stored < packets * records:
        raise SystemExit(f"{stored} records are stored, {packets * records} were sent")
    print(f"{bus}: {done / took_s:.2f} M/s; cpu-s per M: nissa {own / done:.2f}, broker {broker / done:.2f}")


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bus", choices=("oona", "nats"), default="oona")
    parser.add_argument("--packets", type=int, default=200_000)
    parser.add_argument("--metrics", type=int, default=64)
    parser.add_argument("--events", type=int, default=0)
    arguments = parser.parse_args()
    bodies = messages(arguments.packets, arguments.metrics, arguments.events)
    with tempfile.TemporaryDirectory() as directory:
        server: Any
        if arguments.bus == "oona":
            server = RedisServer(Path(directory) / "broker")
            fill_redis(server, bodies)
            environment = oona(server.url)
        else:
            server = NatsServer(Path(directory) / "broker")
            server.make_stream("telemetry", "esper.>")
            fill_nats(server, bodies)
            environment = from_nats(server.url, stream="telemetry", ack_wait="1m")
        daemon = Daemon(Path(directory) / "data", environment=environment)
        try:
            measure(daemon, server, arguments.packets, arguments.metrics + arguments.events, arguments.bus)
        finally:
            daemon.kill()
            server.kill()


if __name__ == "__main__":
    main()
