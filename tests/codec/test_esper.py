"""Esper's other bus messages as metrics and events."""

from typing import Any

import pytest

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa._proto import leyline_pb2 as leyline
from nissa.codec.leyline import decode
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.wire import delimit

WINDOW = Window(minute=1, admit_max=1_000, oldest_ms=-(2**63), newest_ms=2**63 - 1)
NOW_MS = 1_758_000_009_000


class Reader:
    """One index and batch, and frames decoded into them."""

    def __init__(self) -> None:
        self.index = SeriesIndex(bytes(32))
        self.batch = Batch()

    def decode(self, body: bytes, codec: Codec = Codec.LEYLINE_BUS, *, delimited: bool = False) -> Decoded:
        frame = Frame(codec, Encoding.IDENTITY, Source.OONA, NOW_MS, body, delimited)
        return decode(frame, body, self.index, self.batch, WINDOW)

    def samples(self) -> dict[tuple[tuple[str, str], ...], tuple[int, float]]:
        series, ts_ms, value = (column.tolist() for column in self.batch.columns())
        labels = [tuple(sorted(dict(self.index.labels(one)).items())) for one in series]
        return {one: (at, number) for one, at, number in zip(labels, ts_ms, value, strict=True)}

    def value(self, name: str, **labels: str) -> float:
        wanted = {"__name__": name, "job": "nissa", **labels}.items()
        return next(number for labels, (_, number) in self.samples().items() if wanted <= set(labels))


def envelope(kind: int, message: Any) -> bytes:
    return bytes(leyline.BusEnvelope(message_type=kind, payload=message.SerializeToString()).SerializeToString())


def a_state() -> Any:
    state = leyline.SystemStatePacket(
        current_epoch=7,
        validation_loss=0.25,
        training_loss=0.5,
        timestamp_ns=1_758_000_000_000_000_000,
        packet_id="state-7",
        global_step=900,
        source_subsystem="tolaria",
        training_run_id="run-1",
    )
    state.training_metrics["grad_norm"] = 2.0
    state.training_metrics["tolaria.training.latency_ms"] = 16.0
    state.hardware_context.device_id = "0"
    state.hardware_context.utilization_percent = 80.0
    state.seed_states.add(seed_id="seed-1", stage=3, risk_score=0.75).metrics["alpha"] = 0.5
    return state


def test_system_state() -> None:
    """Losses, steps, training metrics, the device and each seed are samples at the packet's time."""
    reader = Reader()
    decoded = reader.decode(envelope(1, a_state()))
    run = {"source": "tolaria", "training_run_id": "run-1"}
    assert reader.value("tolaria_training_loss", **run) == 0.5
    assert reader.value("tolaria_validation_loss", **run) == 0.25
    assert reader.value("tolaria_training_epoch", **run) == 7
    assert reader.value("tolaria_training_grad_norm", **run) == 2
    assert reader.value("tolaria_training_latency_ms", **run) == 16
    assert reader.value("tolaria_seeds_active", **run) == 1
    assert reader.value("tolaria_hardware_utilization_percent", device_id="0", **run) == 80
    assert reader.value("kasmina_seed_stage", seed_id="seed-1", **run) == 3
    assert reader.value("kasmina_seed_alpha", seed_id="seed-1", **run) == 0.5
    assert {at for at, _ in reader.samples().values()} == {1_758_000_000_000}
    assert decoded.bus is not None
    assert decoded.bus.states == {"tolaria": 1}


def test_field_report() -> None:
    """Its metrics are samples, and the report is an event whose level follows from the outcome."""
    report = leyline.FieldReport(report_id="r-1", seed_id="s", blueprint_id="b", outcome=3, notes="worse")
    report.metrics["loss_delta"] = -0.5
    report.issued_at.seconds = 1_758_000_000
    report.follow_up_actions.add(action_type="rollback")
    reader = Reader()
    decoded = reader.decode(envelope(3, report))
    assert reader.value("tamiyo_field_reports_loss_delta", seed_id="s", outcome="regression") == -0.5
    assert decoded.events is not None
    row = decoded.events.row(0)
    assert (row["event_id"], row["description"], row["source"], row["level"]) == ("r-1", "field_report", "tamiyo", 2)
    assert row["attributes"]["follow_up_actions"] == "rollback"
    assert row["attributes"]["notes"] == "worse"
    assert decoded.bus is not None
    assert decoded.bus.reports == {"regression": 1}


def test_emergency_signal() -> None:
    """A halt is a critical event and a sample; the same signal again has the same packet id."""
    signal = leyline.EmergencySignal(level=4, reason="nan loss", origin="tolaria", monotonic_time_ms=5)
    signal.triggered_at.seconds = 1_758_000_000
    signal.attributes["gpu"] = "1"
    reader = Reader()
    first = reader.decode(envelope(10, signal)).events
    again = reader.decode(envelope(10, signal)).events
    assert first is not None
    assert again is not None
    row = first.row(0)
    assert (row["level"], row["source"], row["description"]) == (4, "tolaria", "emergency_signal")
    assert row["attributes"] == {"gpu": "1", "reason": "nan loss", "emergency_level": "halt"}
    assert row["packet_id"] == again.row(0)["packet_id"] != ""
    assert reader.value("weatherlight_emergency_level", source="tolaria") == 4


def test_adaptation_command() -> None:
    """A command is an event of whoever issued it; annotations are attributes."""
    command = leyline.AdaptationCommand(command_id="c-1", command_type=1, target_seed_id="s", issued_by="tamiyo")
    command.annotations["why"] = "risk"
    events = Reader().decode(envelope(2, command)).events
    assert events is not None
    row = events.row(0)
    assert (row["event_id"], row["description"], row["time_ms"]) == ("c-1", "adaptation_command", NOW_MS)
    assert row["attributes"] == {"why": "risk", "command_type": "seed", "target_seed_id": "s"}


def test_among_packets_each_message_has_its_outcome() -> None:
    """In a run of messages the translated ones stand where they stood; one that is not of its type is refused alone."""
    packet = leyline.TelemetryPacket(source_subsystem="tamiyo")
    packet.metrics.add(name="a", value=1)
    packet.events.add(description="bsds_hazard_high", attributes={"provenance": "CURATED"})
    broken = leyline.BusEnvelope(message_type=1, payload=b"\xff\xff").SerializeToString()
    body = delimit([envelope(4, packet), broken, envelope(1, a_state()), envelope(5, packet), envelope(4, packet)])
    reader = Reader()
    decoded = reader.decode(body, delimited=True)
    assert reader.batch.refused == {"record_malformed": 1}
    assert reader.batch.messages == 5
    assert decoded.ignored == 1
    assert reader.value("a", source="tamiyo") == 1
    assert reader.value("kasmina_seed_stage", seed_id="seed-1") == 3
    assert decoded.bus is not None
    assert decoded.bus.packets == {"tamiyo": 2}
    assert decoded.bus.hazards_high == {"curated": 2}


def test_in_event_envelopes_and_alone() -> None:
    """An EventEnvelope carries the same messages by the name of their type; a broken one alone is malformed."""
    event = leyline.EventEnvelope(
        payload=a_state().SerializeToString(), payload_type="esper.leyline.v1.SystemStatePacket"
    )
    reader = Reader()
    reader.decode(event.SerializeToString(), Codec.LEYLINE_EVENT)
    assert reader.value("kasmina_seed_stage", seed_id="seed-1") == 3
    with pytest.raises(Malformed):
        reader.decode(leyline.BusEnvelope(message_type=3, payload=b"\xff\xff").SerializeToString())
