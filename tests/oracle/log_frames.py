"""Frames with events: logs of OpenTelemetry, and packets that can be sent again."""

from collections.abc import Mapping, Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from nissa._proto.leyline_pb2 import TelemetryPacket
from nissa.journal.segment import JournalFrame
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.engine import NOW_MS

SEVERITIES = {"info": 9, "warning": 13, "error": 17, "critical": 21}


def logs_frame(
    texts: Sequence[str],
    level: str = "info",
    attributes: Mapping[str, str] | None = None,
    source: str = "shop",
    time_ms: int = NOW_MS,
) -> Frame:
    """One record for each text, a millisecond apart."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = source
    records = resource.scope_logs.add().log_records
    for place, text in enumerate(texts):
        record = records.add(time_unix_nano=(time_ms + place) * 1_000_000, severity_number=SEVERITIES[level])
        record.body.string_value = text
        for name, value in (attributes or {}).items():
            record.attributes.add(key=name).value.string_value = value
    return Frame(Codec.OTLP_LOGS, Encoding.IDENTITY, Source.HTTP, time_ms, request.SerializeToString())


def journal_frame(frame: Frame, lsn: int = 7) -> JournalFrame:
    """The frame as the journal gives it."""
    return JournalFrame(lsn, lsn, 0, frame, 0, len(frame.body), 0, 0)


def packet_frame(packet_id: str, texts: Sequence[str], source: str = "tolaria") -> Frame:
    """A packet of Esper with events and one metric."""
    packet = TelemetryPacket(packet_id=packet_id, source_subsystem=source)
    packet.timestamp.FromMilliseconds(NOW_MS)
    packet.metrics.add(name="m", value=1.0)
    for text in texts:
        packet.events.add(event_id=f"e-{text}", description=text, level=2)
    return Frame(Codec.LEYLINE_PACKET, Encoding.IDENTITY, Source.HTTP, NOW_MS, packet.SerializeToString())
