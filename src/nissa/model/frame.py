"""A frame: one request body or message, exactly as received.

Frames are what the journal keeps, so the numbers below are on disk: they are only ever added to, never changed
(``docs/format/journal.md``).
"""

from enum import IntEnum

import msgspec


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
    TALLY = 32  # Nissa's own note of refusals that left nothing to keep; JSON


class Encoding(IntEnum):
    """How the body was compressed when it was received."""

    IDENTITY = 0
    SNAPPY = 1  # block format
    ZSTD = 2
    GZIP = 3


class Source(IntEnum):
    """The edge a frame came in by."""

    HTTP = 1
    SELF = 2  # Nissa's own telemetry
    REPLAY = 3  # a capture played into a directory
    EMBEDDED = 4  # nissa.Engine.ingest


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One received body.

    body: the bytes as received, still compressed by ``encoding``.
    received_ms: wall clock at the edge, Unix milliseconds.
    delimited: the body is a run of messages, each behind its varint length.
    """

    codec: Codec
    encoding: Encoding
    source: Source
    received_ms: int
    body: bytes
    delimited: bool = False
