"""Negotiation by the headers: content type and content encoding → codec, encoding, framing.

    /api/v1/write       application/x-protobuf[;proto=prometheus.WriteRequest]           remote write 1.0
                        application/x-protobuf;proto=io.prometheus.write.v2.Request      remote write 2.0
                        Content-Encoding: snappy, for both: the specification knows no other
    /api/v1/telemetry   application/x-protobuf; proto=<full name>[; encoding=delimited]
                        Content-Encoding: identity (or none), snappy, zstd, gzip
    /api/v1/import      application/x-protobuf; proto=nissa.v2.SampleColumns             columns
                        application/x-protobuf; proto=prometheus.WriteRequest            remote write 1.0
                        application/openmetrics-text                                     OpenMetrics
                        any other                                                        JSON lines
                        Content-Encoding: as of telemetry
    /metrics/job/…      any content type but protobuf                                    text 0.0.4
                        Content-Encoding: as of telemetry, and snappy in its framed form
    /write              query: precision, db (InfluxDB 1)                                InfluxDB lines
    /api/v2/write       query: precision (InfluxDB 2)
    /api/v3/write_lp    query: precision, db (InfluxDB 3)
                        Content-Encoding: as of telemetry; the content type is not looked at, as its clients differ
    /v1/metrics, /v1/logs  application/x-protobuf or application/json                    OTLP
                        Content-Encoding: as of telemetry

The first two are strict: a request with a missing or different header is refused before its body is read. Only the
content type chooses the schema; the version header of remote write is ignored, as its specification demands. Other
parameters of the content type (``charset``) are ignored.
"""

from typing import Final
from urllib.parse import parse_qsl

import msgspec

from nissa.codec.exposition import CONTENT_TYPE, OPENMETRICS, is_openmetrics
from nissa.codec.influx import PRECISION, UNITS_NS
from nissa.model.context import NO_CONTEXT, Context
from nissa.model.errors import Malformed, UnsupportedMedia
from nissa.model.frame import Codec, Encoding

MEDIA_TYPE: Final = "application/x-protobuf"

WRITE_2_PROTO: Final = b"io.prometheus.write.v2.Request"
WRITE_PROTOS: Final = {
    "prometheus.WriteRequest": Codec.REMOTE_WRITE_1,
    "io.prometheus.write.v2.Request": Codec.REMOTE_WRITE_2,
}

TELEMETRY_PROTOS: Final = {
    "esper.leyline.v1.BusEnvelope": Codec.LEYLINE_BUS,
    "esper.leyline.v1.EventEnvelope": Codec.LEYLINE_EVENT,
    "esper.leyline.v1.TelemetryPacket": Codec.LEYLINE_PACKET,
    "nissa.v2.TelemetryPacket": Codec.NISSA_PACKET,
    "nissa.v2.SampleColumns": Codec.NISSA_COLUMNS,
    "nissa.v2.MetricPoint": Codec.NISSA_POINT,
    "nissa.v2.TelemetryEvent": Codec.NISSA_EVENT,
    "nissa.v2.AlertNotification": Codec.NISSA_ALERT,
    "nissa.v2.ControlCommand": Codec.NISSA_COMMAND,
}

IMPORT_PROTOS: Final = {
    "nissa.v2.SampleColumns": Codec.NISSA_COLUMNS,
    "prometheus.WriteRequest": Codec.REMOTE_WRITE_1,
}

ENCODINGS: Final = {
    "identity": Encoding.IDENTITY,
    "snappy": Encoding.SNAPPY,
    "zstd": Encoding.ZSTD,
    "gzip": Encoding.GZIP,
    "x-gzip": Encoding.GZIP,
}


class Negotiated(msgspec.Struct, frozen=True, gc=False):
    """Codec, encoding, framing and encoded context for the body of one request. json: the answer is JSON."""

    codec: Codec
    encoding: Encoding
    delimited: bool = False
    context: bytes = b""
    json: bool = False


def negotiate_write(content_type: bytes | None, content_encoding: bytes | None) -> Negotiated:
    """Negotiates a body of /api/v1/write.

    Raises: UnsupportedMedia, saying what was got and what is read.
    """
    parameters = _parameters(content_type)
    proto = parameters.get("proto", "prometheus.WriteRequest")
    codec = WRITE_PROTOS.get(proto)
    if codec is None:
        raise UnsupportedMedia(f"Content-Type proto {proto!r} is not read here; expected {' or '.join(WRITE_PROTOS)}")
    if _token(content_encoding) != "snappy":
        raise UnsupportedMedia(
            f"Content-Encoding {_shown(content_encoding)} is not read here; remote write expects snappy (block format)"
        )
    return Negotiated(codec, Encoding.SNAPPY)


def negotiate_telemetry(content_type: bytes | None, content_encoding: bytes | None) -> Negotiated:
    """Negotiates a body of /api/v1/telemetry.

    Raises: UnsupportedMedia, saying what was got and what is read.
    """
    parameters = _parameters(content_type)
    proto = parameters.get("proto")
    codec = TELEMETRY_PROTOS.get(proto or "")
    if codec is None:
        raise UnsupportedMedia(f"Content-Type proto {proto!r} is not read here; expected {', '.join(TELEMETRY_PROTOS)}")
    framing = parameters.get("encoding")
    if framing not in (None, "delimited"):
        raise UnsupportedMedia(f"Content-Type encoding {framing!r} is not read here; expected delimited, or none")
    return Negotiated(codec, _encoding(content_encoding), framing == "delimited")


def negotiate_import(content_type: bytes | None, content_encoding: bytes | None) -> Negotiated:
    """Negotiates a body of /api/v1/import: protobuf or OpenMetrics where the content type says so, else JSON lines.

    Raises: UnsupportedMedia, saying what was got and what is read.
    """
    said = (content_type or b"").decode("latin-1")
    if is_openmetrics(said):
        context = Context(parameters={CONTENT_TYPE: OPENMETRICS})
        return Negotiated(Codec.EXPOSITION, _encoding(content_encoding), context=context.encode())
    if said.partition(";")[0].strip().lower() != MEDIA_TYPE:
        return Negotiated(Codec.IMPORT_LINES, _encoding(content_encoding))
    proto = _parameters(content_type).get("proto", "")
    codec = IMPORT_PROTOS.get(proto)
    if codec is None:
        raise UnsupportedMedia(f"Content-Type proto {proto!r} is not read here; expected {' or '.join(IMPORT_PROTOS)}")
    return Negotiated(codec, _encoding(content_encoding))


def negotiate_lines(query: bytes, content_encoding: bytes | None, *, precision: str) -> Negotiated:
    """Negotiates a body of InfluxDB lines. query: of the request target. precision: where the query says none.

    The database becomes the label ``db`` of series whose lines have no tag of that name. Other parameters are passed
    over. Raises: UnsupportedMedia; Malformed for a repeated parameter or an unknown precision.
    """
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8"):
        if name in parameters:
            raise Malformed(f"duplicate parameter {name!r} in the URL")
        parameters[name] = value
    precision = parameters.get(PRECISION) or precision
    if precision not in UNITS_NS:
        raise Malformed(f"precision {precision[:40]!r}: expected one of {', '.join(UNITS_NS)}")
    database = parameters.get("db", "")
    context = Context(
        labels={"db": database} if database else {},
        conflict="keep" if database else NO_CONTEXT.conflict,
        parameters={} if precision in ("n", "ns", "nanosecond") else {PRECISION: precision},
    )
    return Negotiated(Codec.INFLUX, _encoding(content_encoding), context=context.encode())


def negotiate_otlp(content_type: bytes | None, content_encoding: bytes | None, *, of_logs: bool) -> Negotiated:
    """Negotiates a body of OTLP: metrics, or logs. Raises: UnsupportedMedia, saying what was got and what is read."""
    if of_json(content_type):
        codec = Codec.OTLP_LOGS_JSON if of_logs else Codec.OTLP_METRICS_JSON
        return Negotiated(codec, _encoding(content_encoding), json=True)
    _parameters(content_type, f"{MEDIA_TYPE} or application/json")
    return Negotiated(Codec.OTLP_LOGS if of_logs else Codec.OTLP_METRICS, _encoding(content_encoding))


def of_json(content_type: bytes | None) -> bool:
    """True for a content type of JSON, whatever its parameters."""
    return (content_type or b"").partition(b";")[0].strip().lower() == b"application/json"


def negotiate_push(content_type: bytes | None, content_encoding: bytes | None) -> Negotiated:
    """Negotiates a body of /metrics/job. Raises: UnsupportedMedia for protobuf, or an encoding that is not known."""
    if b"protobuf" in (content_type or b"").lower():
        raise UnsupportedMedia(f"Content-Type {_shown(content_type)} is not read here; expected text/plain (0.0.4)")
    return Negotiated(Codec.EXPOSITION, _encoding(content_encoding))


def _encoding(content_encoding: bytes | None) -> Encoding:
    encoding = ENCODINGS.get(_token(content_encoding) or "identity")
    if encoding is None:
        raise UnsupportedMedia(
            f"Content-Encoding {_shown(content_encoding)} is not read here; expected one of {', '.join(ENCODINGS)}"
        )
    return encoding


def _parameters(content_type: bytes | None, expected: str = MEDIA_TYPE) -> dict[str, str]:
    """The parameters of a protobuf content type, names in lower case. expected: for the message."""
    media_type, *rest = (content_type or b"").decode("latin-1").split(";")
    if media_type.strip().lower() != MEDIA_TYPE:
        raise UnsupportedMedia(f"Content-Type {_shown(content_type)} is not read here; expected {expected}")
    parameters: dict[str, str] = {}
    for parameter in rest:
        name, _, value = parameter.partition("=")
        name = name.strip().lower()
        if name in parameters:
            raise UnsupportedMedia(f"Content-Type says {name} twice: {_shown(content_type)}")
        if name:
            parameters[name] = value.strip().strip('"')
    return parameters


def _token(value: bytes | None) -> str:
    return (value or b"").decode("latin-1").strip().lower()


def _shown(value: bytes | None) -> str:
    """A header's value as a message may repeat it."""
    return "(none)" if value is None else repr(value[:100].decode("latin-1"))
