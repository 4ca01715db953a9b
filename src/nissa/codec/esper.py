"""Converts Esper's other bus messages to telemetry packets, one TelemetryPacket per message.

    message             packet id            source             metrics                             event
    ------------------  -------------------  -----------------  ----------------------------------  ------------------
    SystemStatePacket   packet_id            source_subsystem   tolaria.*, kasmina.seed.*           —
    FieldReport         report_id            tamiyo             tamiyo.field_reports.*              field_report
    EmergencySignal     hash of its bytes    origin             weatherlight.emergency.level        emergency_signal
    AdaptationCommand   command_id           issued_by          tamiyo.commands.deadline_ms         adaptation_command

The packets are decoded like any other, so names, labels, limits and deduplication are those of telemetry. These
messages are rare: this is the slow path, on Google's classes. ``docs/protocols.md`` lists the names.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from nissa.model.frame import Codec

SYSTEM_STATE, COMMAND, FIELD_REPORT, EMERGENCY = 1, 2, 3, 10  # BusMessageType
_TELEMETRY: Final = 4

# TelemetryLevel: 1 info, 2 warning, 3 error, 4 critical.
_LEVEL_OF_OUTCOME: Final = {3: 2, 4: 3}
_LEVEL_OF_EMERGENCY: Final = {0: 1, 1: 1, 2: 2, 3: 3, 4: 4}
# A packet that no decoder takes, for a message whose payload is not of its type: field number 0.
_UNREADABLE: Final = b"\x00"


def as_telemetry(codec: Codec, kind: int, message: bytes) -> bytes:
    """The message that ``message`` is read as: in an envelope as it came in, with a TelemetryPacket.

    codec: LEYLINE_BUS or LEYLINE_EVENT. kind: its BusMessageType. One whose payload is not of that type becomes one
    that the decoder refuses; an envelope at fault is returned as it is, for the decoder to refuse.
    """
    # Loaded at the first such message: Google's runtime costs 30 ms that a daemon should not pay before it is ready.
    from google.protobuf.message import DecodeError

    from nissa._proto import leyline_pb2

    try:
        if codec == Codec.LEYLINE_BUS:
            bus = leyline_pb2.BusEnvelope.FromString(message)
            bus.payload = _packet(kind, bus.payload)
            bus.message_type = leyline_pb2.BUS_MESSAGE_TYPE_TELEMETRY
            return bytes(bus.SerializeToString(deterministic=True))
        event = leyline_pb2.EventEnvelope.FromString(message)
        event.payload = _packet(kind, event.payload)
        event.payload_type = "esper.leyline.v1.TelemetryPacket"
        return bytes(event.SerializeToString(deterministic=True))
    except DecodeError:
        return message


def counted_as(kind: int, message: bytes, codec: Codec) -> tuple[str, str]:
    """Return (family, label) of the counter ``esper_*`` for a message, or empty strings if none counts it.

    kind: type of the envelope. message: its payload. codec: of the frame it came in. families: ``system_state`` by
    source, ``field_report`` by outcome.
    """
    from google.protobuf.message import DecodeError

    from nissa._proto import leyline_pb2

    envelope: Any = leyline_pb2.BusEnvelope if codec == Codec.LEYLINE_BUS else leyline_pb2.EventEnvelope
    try:
        payload = envelope.FromString(message).payload
        if kind == SYSTEM_STATE:
            state = leyline_pb2.SystemStatePacket.FromString(payload)
            return "system_state", state.source_subsystem.lower() or "unknown"
        if kind == FIELD_REPORT:
            report = leyline_pb2.FieldReport.FromString(payload)
            return "field_report", _word(leyline_pb2.FieldReportOutcome, report.outcome, "FIELD_REPORT_OUTCOME_")
    except DecodeError:
        pass
    return "", ""


def _packet(kind: int, payload: bytes) -> bytes:
    """The TelemetryPacket for the payload of one message."""
    from google.protobuf.message import DecodeError

    from nissa._proto import leyline_pb2

    packet = leyline_pb2.TelemetryPacket()
    try:
        _WRITERS[kind](packet, payload)
    except DecodeError:
        return _UNREADABLE
    return bytes(packet.SerializeToString(deterministic=True))


def _write_state(packet: Any, payload: bytes) -> None:
    from nissa._proto import leyline_pb2

    state = leyline_pb2.SystemStatePacket.FromString(payload)
    packet.packet_id = state.packet_id
    packet.source_subsystem = state.source_subsystem or "tolaria"
    if state.timestamp_ns:
        packet.timestamp.FromNanoseconds(min(state.timestamp_ns, 2**63 - 1))
    run = _present(training_run_id=state.training_run_id, experiment_name=state.experiment_name)
    for name, value in (
        ("tolaria.training.loss", state.training_loss),
        ("tolaria.validation.loss", state.validation_loss),
        ("tolaria.validation.accuracy", state.validation_accuracy),
        ("tolaria.training.epoch", state.current_epoch),
        ("tolaria.training.global_step", state.global_step),
        ("tolaria.seeds.active", len(state.seed_states)),
    ):
        _metric(packet, name, value, run)
    for name, value in _sorted(state.training_metrics):
        _metric(packet, name if "." in name else f"tolaria.training.{name}", value, run)
    if state.HasField("hardware_context"):
        _write_hardware(packet, state.hardware_context, run)
    for seed in state.seed_states:
        _write_seed(packet, seed, run)


def _write_hardware(packet: Any, hardware: Any, run: Mapping[str, str]) -> None:
    device = {**run, **_present(device_type=hardware.device_type, device_id=hardware.device_id)}
    for name in ("total_memory_gb", "available_memory_gb", "temperature_celsius", "utilization_percent"):
        _metric(packet, f"tolaria.hardware.{name}", getattr(hardware, name), device)


def _write_seed(packet: Any, seed: Any, run: Mapping[str, str]) -> None:
    labels = {**run, **_present(seed_id=seed.seed_id)}
    for name in ("stage", "gradient_norm", "learning_rate", "layer_depth", "age_epochs", "risk_score"):
        _metric(packet, f"kasmina.seed.{name}", getattr(seed, name), labels)
    for name, value in _sorted(seed.metrics):
        _metric(packet, name if "." in name else f"kasmina.seed.{name}", value, labels)


def _write_report(packet: Any, payload: bytes) -> None:
    from nissa._proto import leyline_pb2

    report = leyline_pb2.FieldReport.FromString(payload)
    outcome = _word(leyline_pb2.FieldReportOutcome, report.outcome, "FIELD_REPORT_OUTCOME_")
    packet.packet_id = report.report_id
    packet.source_subsystem = "tamiyo"
    if report.HasField("issued_at"):
        packet.timestamp.CopyFrom(report.issued_at)
    labels = _present(seed_id=report.seed_id, blueprint_id=report.blueprint_id, outcome=outcome)
    for name, value in _sorted(report.metrics):
        _metric(packet, name if "." in name else f"tamiyo.field_reports.{name}", value, labels)
    actions = ",".join(action.action_type for action in report.follow_up_actions)
    attributes = _present(
        outcome=outcome,
        command_id=report.command_id,
        training_run_id=report.training_run_id,
        seed_id=report.seed_id,
        blueprint_id=report.blueprint_id,
        tamiyo_policy_version=report.tamiyo_policy_version,
        follow_up_actions=actions,
        notes=report.notes,
    )
    _event(packet, report.report_id, "field_report", _LEVEL_OF_OUTCOME.get(report.outcome, 1), attributes)


def _write_emergency(packet: Any, payload: bytes) -> None:
    from nissa._proto import leyline_pb2

    signal = leyline_pb2.EmergencySignal.FromString(payload)
    # It has no id. A signal that comes again has the same bytes, its monotonic time among them.
    packet.packet_id = "emergency-" + hashlib.blake2b(payload, digest_size=16).hexdigest()
    packet.source_subsystem = signal.origin or "unknown"
    if signal.HasField("triggered_at"):
        packet.timestamp.CopyFrom(signal.triggered_at)
    _metric(packet, "weatherlight.emergency.level", signal.level, {})
    level = _word(leyline_pb2.EmergencyLevel, signal.level, "EMERGENCY_LEVEL_")
    own = _present(emergency_level=level, reason=signal.reason, run_id=signal.run_id)
    event_level = _LEVEL_OF_EMERGENCY.get(signal.level, 4)
    _event(packet, packet.packet_id, "emergency_signal", event_level, {**dict(signal.attributes), **own})


def _write_command(packet: Any, payload: bytes) -> None:
    from nissa._proto import leyline_pb2

    command = leyline_pb2.AdaptationCommand.FromString(payload)
    kind = _word(leyline_pb2.CommandType, command.command_type, "COMMAND_")
    packet.packet_id = command.command_id
    packet.source_subsystem = command.issued_by or "tamiyo"
    if command.HasField("issued_at"):
        packet.timestamp.CopyFrom(command.issued_at)
    _metric(packet, "tamiyo.commands.deadline_ms", command.execution_deadline_ms, {"command_type": kind})
    own = _present(command_type=kind, target_seed_id=command.target_seed_id)
    _event(packet, command.command_id, "adaptation_command", 1, {**dict(command.annotations), **own})


_WRITERS: Final[Mapping[int, Callable[[Any, bytes], None]]] = {
    SYSTEM_STATE: _write_state,
    COMMAND: _write_command,
    FIELD_REPORT: _write_report,
    EMERGENCY: _write_emergency,
}


def _metric(packet: Any, name: str, value: float, labels: Mapping[str, str]) -> None:
    packet.metrics.add(name=name, value=value, attributes=labels)


def _event(packet: Any, event_id: str, description: str, level: int, attributes: Mapping[str, str]) -> None:
    packet.events.add(event_id=event_id, description=description, level=level, attributes=attributes)


def _present(**texts: str) -> dict[str, str]:
    """The texts that are not empty."""
    return {name: text for name, text in texts.items() if text}


def _sorted(values: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Entries of a map in the order of their names: a replay makes the same packet."""
    return iter(sorted(values.items()))


def _word(enum: Any, number: int, prefix: str) -> str:
    """The name of an enum's number, as the first Nissa wrote it: without prefix, in lower case."""
    try:
        return str(enum.Name(number)).removeprefix(prefix).lower()
    except ValueError:
        return str(number)
