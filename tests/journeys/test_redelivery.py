"""Packets that a sender or a bus delivers again, over kills and seals: acknowledged each time, there once."""

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from journeys.rig import Daemon, connect, running, send

import nissa
from nissa._proto import leyline_pb2 as leyline
from nissa._proto import telemetry_pb2
from oracle.packet_frames import delimited

SEED: Final = 20_261_121
PACKETS: Final = 30
LEYLINE: Final = "esper.leyline.v1.TelemetryPacket"
NISSA: Final = "nissa.v2.TelemetryPacket"


def packet(number: int, now_ms: int) -> tuple[str, bytes]:
    """Type and bytes of a packet with one sample and two events of its own."""
    if number % 2:
        other = telemetry_pb2.TelemetryPacket(source="simic", timestamp_ms=now_ms + number, epoch=3)
        other.request_id = f"r-{number}"
        other.points.add(name="redelivery", value=number)
        for place in range(2):
            other.events.add(description=f"{number}.{place}")
        return NISSA, bytes(other.SerializeToString())
    message = leyline.TelemetryPacket(packet_id=f"p-{number}", source_subsystem="tolaria")
    message.timestamp.FromMilliseconds(now_ms + number)
    message.metrics.add(name="redelivery", value=number)
    for place in range(2):
        message.events.add(event_id="e", description=f"{number}.{place}")
    return LEYLINE, bytes(message.SerializeToString())


def events_of(daemon: Daemon) -> Counter[str]:
    """Descriptions of all events, each with how often it stands there."""
    page = daemon.get("/api/v1/events?limit=10000")["data"]
    assert page["complete"]
    return Counter(event["description"] for event in page["events"])


def check(daemon: Daemon, directory: Path, numbers: set[int], sent: int) -> None:
    """Each sample and event is there once, inside and outside; repetitions are counted."""
    wanted = Counter(f"{number}.{place}" for number in numbers for place in range(2))
    assert events_of(daemon) == wanted
    with nissa.open(directory) as data:
        assert Counter(data.events()["description"].to_pylist()) == wanted
        assert sorted(data.samples("redelivery")["value"].to_pylist()) == sorted(numbers)
    assert sum(len(series) for series in daemon.export("redelivery").values()) == len(numbers)
    total: dict[str, Any] = daemon.get("/api/v1/accounting")["data"]["total"]
    assert (total["received"], total["stored"], total["unaccounted"]) == (3 * sent, 3 * len(numbers), 0)
    assert total["duplicate"] == 3 * (sent - len(numbers))


def test_what_comes_again_is_there_once(tmp_path: Path) -> None:
    """Killed and started again, sealed and not: every packet is acknowledged whenever it comes, and stored once."""
    directory, rng = tmp_path / "data", random.Random(SEED)
    print(f"seed {SEED}")
    now_ms = int(time.time() * 1000) - 60_000
    numbers: set[int] = set()
    sent = 0
    for seal_interval_ms in ("3600000", "150", "3600000"):
        environment = {"NISSA_STORAGE__SEAL_INTERVAL_MS": seal_interval_ms}
        with running(directory, environment=environment) as daemon:
            link = connect(daemon.ingest_url)
            for number in rng.choices(range(PACKETS), k=25):
                kind, body = packet(number, now_ms)
                assert send(link, kind, body) == (204, b"")
                numbers.add(number)
                sent += 1
            for number in range(
                2
            ):  # two kinds, so two frames: each packet among them once more, and twice in one frame
                bodies = [packet(one, now_ms)[1] for one in sorted(numbers) if one % 2 == number]
                kind = packet(number, now_ms)[0]
                assert send(link, f"{kind}; encoding=delimited", delimited(bodies * 2)) == (204, b"")
                sent += 2 * len(bodies)
            if seal_interval_ms == "150":
                daemon.wait_sealed()
            check(daemon, directory, numbers, sent)
            found = daemon.get(f"/api/v1/requests/3/r-{max(one for one in numbers if one % 2)}")["data"]["entries"]
            assert [(entry["kind"], entry["durable"]) for entry in found] == [("metric", True)]
            status, body = daemon.request("GET", "/api/v1/requests/3/r-never")
            assert (status, json.loads(body)["errorType"]) == (404, "not_found")
            daemon.kill()
    with running(directory) as daemon:
        check(daemon, directory, numbers, sent)
        assert daemon.stop() == 0
