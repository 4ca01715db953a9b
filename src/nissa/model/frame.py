"""A frame: one request body or message, exactly as received.

Frames are stored in the journal, so the numbers below are on disk: never change or reuse one
(``docs/format/journal.md``).
"""

from enum import IntEnum, unique

import msgspec


@unique
class Codec(IntEnum):
    """The wire language of a frame's body, after its content encoding is undone."""

    REMOTE_WRITE_1 = 1  # prometheus.WriteRequest
    REMOTE_WRITE_2 = 2  # io.prometheus.write.v2.Request
    LEYLINE_BUS = 3  # esper.leyline.v1.BusEnvelope
    LEYLINE_EVENT = 4  # esper.leyline.v1.EventEnvelope
    LEYLINE_PACKET = 5  # esper.leyline.v1.TelemetryPacket
    NISSA_PACKET = 6  # nissa.v2.TelemetryPacket
    NISSA_COLUMNS = 7  # nissa.v2.SampleColumns
    NISSA_POINT = 8  # nissa.v2.MetricPoint
    NISSA_EVENT = 9  # nissa.v2.TelemetryEvent
    NISSA_ALERT = 10  # nissa.v2.AlertNotification
    NISSA_COMMAND = 11  # nissa.v2.ControlCommand
    OTLP_METRICS = 12  # opentelemetry ExportMetricsServiceRequest
    OTLP_LOGS = 13  # opentelemetry ExportLogsServiceRequest
    INFLUX = 14  # InfluxDB line protocol
    EXPOSITION = 15  # Prometheus text 0.0.4 or OpenMetrics 1.0, as the context says
    GRAPHITE = 17  # Graphite plaintext
    IMPORT_LINES = 18  # JSON lines of Nissa and VictoriaMetrics
    OTLP_METRICS_JSON = 19  # the same as JSON
    OTLP_LOGS_JSON = 20
    FES_EVENT = 21  # fes.common.events.GenericEventRequest
    EVENT_JSON = 22  # alert events as JSON objects
    LEYLINE_JSON = 23  # the older JSON dialect of Esper's bus
    TALLY = 32  # Nissa's own note of refusals that left nothing to keep; JSON


class Encoding(IntEnum):
    """Compression of the body as received."""

    IDENTITY = 0
    SNAPPY = 1  # block format
    ZSTD = 2
    GZIP = 3


@unique
class Source(IntEnum):
    """The edge a frame came in by."""

    HTTP = 1
    SELF = 2  # Nissa's own telemetry
    REPLAY = 3  # a capture played into a directory
    EMBEDDED = 4  # nissa.Engine.ingest
    SCRAPE = 5  # bodies that Nissa asked targets for
    OONA = 6  # streams of Redis
    NATS = 7
    STATSD = 8  # flushes of StatsD meters, and events
    GRAPHITE = 9  # Graphite plaintext over TCP
    PUSH = 10  # groups of the Pushgateway API, sent on every interval
    IMPORT = 11  # history: samples of any age that some tier still keeps
    OTLP_GRPC = 12  # OpenTelemetry's protocol over gRPC
    KAFKA = 13
    RULES = 14  # samples that recording and alerting rules make


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One received body.

    body: the bytes as received, still compressed by ``encoding``.
    received_ms: wall clock at the edge, Unix milliseconds.
    delimited: the body is a run of messages, each behind its varint length.
    context: what else the edge knew, encoded (``model.context``); empty where there is nothing.
    plain: ``body`` decompressed, where the edge had to do that anyway; no part of what is stored.
    """

    codec: Codec
    encoding: Encoding
    source: Source
    received_ms: int
    body: bytes
    delimited: bool = False
    context: bytes = b""
    plain: bytes | None = None

    @property
    def held_bytes(self) -> int:
        """Memory that the frame takes while it waits."""
        return len(self.body) + len(self.context) + (len(self.plain) if self.plain is not None else 0)


def source_of(frame: Frame) -> str:
    """The key of a frame's tally, such as ``http/remote_write_1``."""
    return _SOURCES[frame.source, frame.codec]


def source_key(source: Source, codec: Codec) -> str:
    """The key of the tally of such frames."""
    return _SOURCES[source, codec]


_SOURCES = {(source, codec): f"{source.name.lower()}/{codec.name.lower()}" for source in Source for codec in Codec}
