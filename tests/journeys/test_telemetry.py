"""Telemetry of Esper's Leyline and of nissa.v2 over POST /api/v1/telemetry, compared with its export.

Every message type of the route is sent alone and delimited, in every content encoding; what must come back is worked
out from Google's classes by the slow twins of the decoders, and read from the export, before and after a restart.
"""

import gzip
import json
import random
import struct
import time
from collections.abc import Callable
from itertools import count, islice, product
from pathlib import Path
from typing import Any, Final, NamedTuple

import cramjam
import pytest
from journeys.rig import Daemon, Export, connect, running, send

from nissa._proto import columns_pb2, control_pb2, telemetry_pb2
from nissa._proto import leyline_pb2 as leyline
from oracle import leyline as leyline_twin
from oracle import packets as packets_twin
from oracle.expected import Expected

SEED: Final = 71
EVERYTHING: Final = '{__name__=~".+"}'
LEYLINE: Final = "esper.leyline.v1."
GOLDENS: Final = Path(__file__).parents[1] / "goldens"
ENCODED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "": bytes,
    "identity": bytes,
    "snappy": lambda body: bytes(cramjam.snappy.compress_raw(body)),
    "zstd": lambda body: bytes(cramjam.zstd.compress(body)),
    "gzip": gzip.compress,
}


class Kind(NamedTuple):
    """A message type of the route. twin: decodes it slowly."""

    name: str
    codec: int
    twin: Any


KINDS: Final = (
    Kind(LEYLINE + "BusEnvelope", leyline_twin.BUS, leyline_twin),
    Kind(LEYLINE + "EventEnvelope", leyline_twin.EVENT, leyline_twin),
    Kind(LEYLINE + "TelemetryPacket", leyline_twin.PACKET, leyline_twin),
    Kind("nissa.v2.TelemetryPacket", packets_twin.PACKET, packets_twin),
    Kind("nissa.v2.SampleColumns", packets_twin.COLUMNS, packets_twin),
    Kind("nissa.v2.MetricPoint", packets_twin.POINT, packets_twin),
    Kind("nissa.v2.TelemetryEvent", packets_twin.EVENT, packets_twin),
)


def bits_of(value: float) -> int:
    """The bits of a value."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def packet(number: int, now_ms: int) -> Any:
    """A packet of Leyline as Esper's producers make it: maps, an absent value that is 0, an event, health."""
    draw = random.Random(SEED + number)
    message = leyline.TelemetryPacket(packet_id=f"p-{number}", source_subsystem=draw.choice(["tolaria", "kasmina"]))
    message.timestamp.FromMilliseconds(now_ms + number)
    for name in ("tolaria.training.loss", "tolaria.training.latency_ms", "kasmina.isolation.violations"):
        metric = message.metrics.add(name=name, unit="ms", value=draw.choice([0.0, draw.uniform(-1e9, 1e9)]))
        for key in ("seed", "node", "phase", "host"):
            metric.attributes[key] = f"{key}-{draw.randrange(3)}"
    event = message.events.add(event_id=f"e-{number}", description="seed_operation", level=1)
    event.attributes["seed_id"] = "seed-1"
    message.system_health.indicators["priority"] = "MESSAGE_PRIORITY_HIGH"
    return message


def message_of(kind: Kind, number: int, now_ms: int) -> bytes:
    """The number-th message of a kind, with samples of its own."""
    inner = packet(number, now_ms)
    if kind.codec == leyline_twin.BUS:
        inner = leyline.BusEnvelope(message_type=4, payload=inner.SerializeToString(), attributes={"stream": "x"})
    elif kind.codec == leyline_twin.EVENT:
        inner = leyline.EventEnvelope(payload=inner.SerializeToString(), payload_type=LEYLINE + "TelemetryPacket")
    elif kind.codec == packets_twin.PACKET:
        inner = telemetry_pb2.TelemetryPacket(source="simic", timestamp_ms=now_ms + number)
        inner.points.append(point(number, now_ms))
        inner.points.add(name="packets.time", value=float("-inf"))
        inner.events.add(event_id="e", description="d")
    elif kind.codec == packets_twin.POINT:
        inner = point(number, now_ms)
    elif kind.codec == packets_twin.EVENT:
        inner = telemetry_pb2.TelemetryEvent(event_id=f"e-{number}", timestamp_ms=now_ms + number)
    elif kind.codec == packets_twin.COLUMNS:
        inner = columns_pb2.SampleColumns(timestamp_ms=now_ms + number, symbols=["", "__name__", "columns", "n", "1"])
        inner.series.add(label_refs=[1, 2])
        inner.series.add(label_refs=[3, 4, 1, 2])
        inner.time_deltas_ms.extend([0, 1_000, -500])
        inner.values.extend([number, -0.0, 1e-300, 0.1, 5e-324, 1.7976931348623157e308])
    return bytes(inner.SerializeToString())


def point(number: int, now_ms: int) -> Any:
    """A metric point with a label that wins over the job, and a time of its own."""
    made = telemetry_pb2.MetricPoint(name="points.loss", value=number / 3, timestamp_ms=now_ms - number, unit="ratio")
    made.labels.add(name="job", value="trainer")
    made.labels.add(name="epoch", value=str(number % 2))
    return made


def delimited(messages: list[bytes]) -> bytes:
    """Messages of less than 16 KiB, each behind its varint length."""
    return b"".join(bytes([len(each) & 0x7F | 0x80, len(each) >> 7]) + each for each in messages)


def content_of(expected: list[Expected]) -> Export:
    """Samples that an export must contain after these frames; no sample may have two values."""
    found: Export = {}
    for frame in expected:
        assert not frame.refused
        for labels, ts_ms, bits in frame.samples:
            assert found.setdefault(labels, {}).setdefault(ts_ms, bits) == bits
    return found


def test_what_is_sent_comes_back(tmp_path: Path) -> None:
    """Every type, alone and delimited, in every encoding: 204, and the export equals that of the slow twins, twice."""
    now_ms = int(time.time() * 1000) - 60_000
    expected: list[Expected] = []
    numbers = count()
    with running(tmp_path / "data") as daemon:
        link = connect(daemon.ingest_url)
        for kind, (encoding, encode) in product(KINDS, ENCODED.items()):
            one, *more = (message_of(kind, number, now_ms) for number in islice(numbers, 5))
            assert send(link, kind.name, encode(one), encoding) == (204, b"")
            run = delimited(more)
            assert send(link, f"{kind.name}; encoding=delimited", encode(run), encoding) == (204, b"")
            expected.append(kind.twin.expect(one, kind.codec, False, 0))
            expected.append(kind.twin.expect(run, kind.codec, True, 0))
        check(daemon, expected)
        daemon.kill()
    with running(tmp_path / "data") as daemon:
        check(daemon, expected)


def check(daemon: Daemon, expected: list[Expected]) -> None:
    """Check that the export has the expected samples, and the accounting every sample and event."""
    assert daemon.export(EVERYTHING) == content_of(expected)
    sources = daemon.get("/api/v1/accounting")["data"]["sources"]
    assert len(sources) == len(KINDS)
    assert not any(
        counters["unaccounted"] or counters["duplicate"] or counters["refused"] for counters in sources.values()
    )
    records = sum(len(frame.samples) + len(frame.events) for frame in expected)
    assert sum(counters["stored"] for counters in sources.values()) == records
    unit = daemon.get("/api/v1/metadata?metric=tolaria_training_loss")["data"]["tolaria_training_loss"][0]["unit"]
    assert unit == "ms"


@pytest.mark.parametrize(("golden", "name"), [("leyline-packet", "TelemetryPacket"), ("leyline-bus", "BusEnvelope")])
def test_the_packet_of_the_contract(tmp_path: Path, golden: str, name: str) -> None:
    """Esper's sample packet, bare and as a stream entry: four samples under the names and labels of the contract."""
    ever = f"{100 * 365 * 86_400_000}ms"
    environment = {"NISSA_ACCEPTANCE__PAST": ever, "NISSA_ACCEPTANCE__EVENT_PAST": ever}
    with running(tmp_path / "data", environment=environment) as daemon:
        body = (GOLDENS / f"{golden}.bin").read_bytes()
        assert send(connect(daemon.ingest_url), LEYLINE + name, body)[0] == 204
        found = daemon.export('{job="nissa",source="tolaria"}')
        values = {dict(labels)["__name__"]: series for labels, series in found.items()}
        assert values == {
            "tolaria_training_loss": {1_758_000_000_000: bits_of(0.456)},
            "tolaria_training_latency_ms": {1_758_000_000_000: bits_of(17.2)},
            "kasmina_isolation_violations": {1_758_000_000_000: bits_of(0.0)},
            "tamiyo_validation_loss": {1_758_000_000_000: bits_of(0.321)},
        }


def test_what_is_no_metric_is_taken_and_counted(tmp_path: Path) -> None:
    """Alerts and commands are kept as events, each once; other envelopes are acknowledged; none makes a series."""
    alert = control_pb2.AlertNotification(alert_id="a-1", name="latency_high", value=3.0).SerializeToString()
    command = control_pb2.ControlCommand(command_id="c-1", command="pause").SerializeToString()
    other = leyline.BusEnvelope(message_type=leyline.BUS_MESSAGE_TYPE_POLICY_UPDATE, payload=b"\xff")
    with running(tmp_path / "data") as daemon:
        link = connect(daemon.ingest_url)
        assert send(link, "nissa.v2.AlertNotification", alert) == (204, b"")
        assert send(link, "nissa.v2.ControlCommand; encoding=delimited", delimited([command, command])) == (204, b"")
        assert send(link, LEYLINE + "BusEnvelope", other.SerializeToString()) == (204, b"")
        assert daemon.export(EVERYTHING) == {}
        total = daemon.get("/api/v1/accounting")["data"]["total"]
        assert (total["received"], total["stored"], total["duplicate"], total["unaccounted"]) == (3, 2, 1, 0)


def test_a_packet_refused_in_part_keeps_the_rest_and_says_so(tmp_path: Path) -> None:
    """A point without a name and one too old are counted by reason in the answer; the third is stored."""
    now_ms = int(time.time() * 1000)
    message = telemetry_pb2.TelemetryPacket(source="simic", timestamp_ms=now_ms)
    message.points.add(value=1.0)
    message.points.add(name="old", timestamp_ms=1)
    message.points.add(name="good", value=2.0)
    with running(tmp_path / "data") as daemon:
        status, answer = send(connect(daemon.ingest_url), "nissa.v2.TelemetryPacket", message.SerializeToString())
        counts = json.loads(answer)
        assert (status, counts["samples"]) == (200, 1)
        assert counts["refused"] == {"name_missing": 1, "too_old": 1}
        good = (("__name__", "good"), ("job", "nissa"), ("source", "simic"))
        assert daemon.export(EVERYTHING) == {good: {now_ms: bits_of(2.0)}}
        assert not any(daemon.unaccounted().values())
