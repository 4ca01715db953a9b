"""nissa.v2 frames as the engine meets them: goldens, metadata, and the messages that become events."""

from pathlib import Path

import pytest

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa._proto import columns_pb2, telemetry_pb2
from nissa.codec.packets import SLOW_MESSAGES_MAX, decode
from nissa.model.columns import Metadata
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source

GOLDENS = Path(__file__).parent.parent / "goldens"
WINDOW = Window(minute=1, admit_max=1_000, oldest_ms=-(2**63), newest_ms=2**63 - 1)
RECEIVED_MS = 1_758_000_009_000
START_MS = 1_758_000_000_000


class Reader:
    """One index and batch, and frames decoded into them."""

    def __init__(self) -> None:
        self.index = SeriesIndex(bytes(32))
        self.batch = Batch()

    def decode(self, body: bytes, codec: Codec, *, delimited: bool = False) -> Decoded:
        frame = Frame(codec, Encoding.IDENTITY, Source.HTTP, RECEIVED_MS, body, delimited)
        return decode(frame, body, self.index, self.batch, WINDOW)

    def samples(self) -> list[tuple[dict[str, str], int, float]]:
        series, ts_ms, value = (column.tolist() for column in self.batch.columns())
        return [(dict(self.index.labels(s)), t, v) for s, t, v in zip(series, ts_ms, value, strict=True)]


def golden(name: str) -> bytes:
    return (GOLDENS / f"nissa-{name}.bin").read_bytes()


def test_golden_packet() -> None:
    """Points with the packet's time and with their own, labels, metadata by type and unit, and the event."""
    reader = Reader()
    decoded = reader.decode(golden("packet"), Codec.NISSA_PACKET)
    assert reader.samples() == [
        ({"__name__": "tolaria_training_loss", "job": "nissa", "node": "gpu-0", "source": "tolaria"}, START_MS, 0.5),
        ({"__name__": "tolaria_steps_total", "job": "nissa", "source": "tolaria"}, START_MS + 250, 42.0),
    ]
    assert decoded.metadata == [
        Metadata("tolaria_training_loss", "gauge", "", "loss"),
        Metadata("tolaria_steps_total", "counter", "", ""),
    ]
    assert decoded.events is not None
    assert decoded.events.row(0)["attributes"] == {"seed_id": "seed-1"}
    assert reader.batch.events == 1


@pytest.mark.parametrize("shape", ["grid", "rounds"])
def test_golden_grid(shape: str) -> None:
    """Two series at three common times, whether the values stand by series or by round."""
    reader = Reader()
    decoded = reader.decode(golden(f"columns-{shape}"), Codec.NISSA_COLUMNS)
    hosts = [{"__name__": "up", "host": host} for host in ("a", "a", "a", "b", "b", "b")]
    times = [START_MS, START_MS + 1000, START_MS + 2000] * 2
    assert reader.samples() == list(zip(hosts, times, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], strict=True))
    assert decoded.metadata == [Metadata("up", "gauge", "", "ratio")]


def test_golden_runs() -> None:
    """Each series with its own number of samples at its own times."""
    reader = Reader()
    reader.decode(golden("columns-runs"), Codec.NISSA_COLUMNS)
    assert [(labels["host"], ts_ms - START_MS, value) for labels, ts_ms, value in reader.samples()] == [
        ("a", -5, 1.0),
        ("b", 10, 2.0),
        ("b", 1010, 3.0),
    ]


def test_golden_alert() -> None:
    """An alert notification becomes one event; what has no column becomes an attribute."""
    decoded = Reader().decode(golden("alert"), Codec.NISSA_ALERT)
    assert decoded.events is not None
    assert decoded.events.row(0) == {
        "time_ms": START_MS,
        "level": 4,
        "source": "tolaria",
        "event_id": "f00d",
        "description": "training_latency_high",
        "packet_id": "",
        "attributes": {
            "state": "2",
            "summary": "slow",
            "value": "25.5",
            "threshold": "18.0",
            "label.node": "gpu-0",
            "annotation.runbook": "latency",
            "starts_at_ms": "1757999990000",
            "routes": "pagerduty,slack",
            "epoch": "3",
        },
    }


def test_golden_command_delimited() -> None:
    """Control commands become events too, many in one delimited body."""
    message = golden("command")
    reader = Reader()
    decoded = reader.decode((bytes([len(message)]) + message) * 2, Codec.NISSA_COMMAND, delimited=True)
    assert decoded.events is not None
    assert (len(decoded.events), reader.batch.events, len(reader.batch)) == (2, 2, 0)
    row = decoded.events.row(1)
    assert (row["description"], row["source"], row["level"], row["time_ms"]) == (
        "acknowledge_alert",
        "tolaria",
        1,
        START_MS,
    )
    assert row["attributes"]["parameter.alert"] == "f00d"
    assert row["attributes"]["dry_run"] == "true"


@pytest.mark.parametrize("body", [b"\x0a\x02a", b"\x0a\x01\xff", b"\x4a\x04\x0a\x02\xff\xfe", b"\x72\x01\xff"])
def test_malformed_alert(body: bytes) -> None:
    """Truncated bytes, and text anywhere that is not UTF-8, are malformed."""
    with pytest.raises(Malformed):
        Reader().decode(body, Codec.NISSA_ALERT)


def test_a_bad_message_costs_itself() -> None:
    """In a run of commands one is cut off and one is not UTF-8: both are refused, and the others are kept."""
    message = golden("command")
    reader = Reader()
    body = b"".join(bytes([len(each)]) + each for each in (message, b"\x0a\x02a", message, b"\x0a\x01\xff"))
    decoded = reader.decode(body, Codec.NISSA_COMMAND, delimited=True)
    assert decoded.events is not None
    assert len(decoded.events) == 2
    assert reader.batch.refused == {"record_malformed": 1, "text_not_utf8": 1}
    assert reader.batch.rows_received == 2
    assert reader.batch.examples["record_malformed"].offset == len(message) + 2


def test_alerts_of_one_body_have_a_maximum() -> None:
    """Empty messages that a slow path reads are refused before they take minutes."""
    with pytest.raises(TooLarge, match="messages in one frame"):
        Reader().decode(bytes(SLOW_MESSAGES_MAX + 1), Codec.NISSA_ALERT, delimited=True)


@pytest.mark.parametrize("body", [b"\x05a", b"\x80", b"\xff\xff\xff\xff\xff\x01"])
def test_malformed_run_of_commands(body: bytes) -> None:
    """A length that leads out of the body is malformed."""
    with pytest.raises(Malformed):
        Reader().decode(body, Codec.NISSA_COMMAND, delimited=True)


def test_single_point_and_event() -> None:
    """A point or an event may be sent alone: no source, the time of receipt unless it has its own."""
    reader = Reader()
    point = telemetry_pb2.MetricPoint(name="a.b", value=1.0)
    reader.decode(point.SerializeToString(), Codec.NISSA_POINT)
    assert reader.samples() == [({"__name__": "a_b", "job": "nissa"}, RECEIVED_MS, 1.0)]
    event = telemetry_pb2.TelemetryEvent(description="d", source="oona", timestamp_ms=5)
    decoded = reader.decode(event.SerializeToString(), Codec.NISSA_EVENT)
    assert decoded.events is not None
    assert (decoded.events.row(0)["source"], decoded.events.row(0)["time_ms"]) == ("oona", 5)


def test_epoch_and_request_do_not_make_series() -> None:
    """Points that differ in epoch, request, time and value only are of one series, in packets of any epoch."""
    reader = Reader()
    packet = telemetry_pb2.TelemetryPacket(source="tolaria")
    for epoch in range(5):
        packet.points.add(name="a", value=epoch, timestamp_ms=epoch, unit="ms", epoch=epoch, request_id=f"r-{epoch}")
    reader.decode(packet.SerializeToString(), Codec.NISSA_PACKET)
    assert (reader.index.series_count, len(reader.batch)) == (1, 5)


def test_label_given_twice_is_refused() -> None:
    """Labels are no map: a name given twice refuses the point."""
    reader = Reader()
    point = telemetry_pb2.MetricPoint(name="a")
    point.labels.add(name="k", value="1")
    point.labels.add(name="k", value="2")
    reader.decode(point.SerializeToString(), Codec.NISSA_POINT)
    assert reader.batch.refused == {"label_duplicate": 1}


def test_columns_of_a_run_have_their_own_symbols() -> None:
    """In a delimited body, references point into the symbols of their own message."""
    reader = Reader()
    body = b""
    for name in ("a", "b"):
        message = columns_pb2.SampleColumns(timestamp_ms=1, symbols=["", name, "__name__"], values=[1.0])
        message.series.add(label_refs=[2, 1])
        encoded = message.SerializeToString()
        body += bytes([len(encoded)]) + encoded
    reader.decode(body, Codec.NISSA_COLUMNS, delimited=True)
    assert [labels["__name__"] for labels, _, _ in reader.samples()] == ["a", "b"]
