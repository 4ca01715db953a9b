"""What a body is, from what its headers say: content type and content encoding → codec, encoding, framing.

    /api/v1/write       application/x-protobuf[;proto=prometheus.WriteRequest]           remote write 1.0
                        application/x-protobuf;proto=io.prometheus.write.v2.Request      remote write 2.0
                        Content-Encoding: snappy, for both: the specification knows no other
    /api/v1/telemetry   application/x-protobuf; proto=<full name>[; encoding=delimited]
                        Content-Encoding: identity (or none), snappy, zstd, gzip

Both are strict: a header that is missing, or says something else, is refused before the body is read. The content type
alone chooses the schema; the version header of remote write is not looked at, as its specification demands.
Other parameters of the content type (``charset``) mean nothing here and are passed over.
"""

from typing import Final

import msgspec

from nissa.model.errors import UnsupportedMedia
from nissa.model.frame import Codec, Encoding

MEDIA_TYPE: Final = "application/x-protobuf"

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

ENCODINGS: Final = {
    "identity": Encoding.IDENTITY,
    "snappy": Encoding.SNAPPY,
    "zstd": Encoding.ZSTD,
    "gzip": Encoding.GZIP,
    "x-gzip": Encoding.GZIP,
}


class Negotiated(msgspec.Struct, frozen=True, gc=False):
    """How the body of one request is read."""

    codec: Codec
    encoding: Encoding
    delimited: bool = False


def negotiate_write(content_type: bytes | None, content_encoding: bytes | None) -> Negotiated:
    """What a body of /api/v1/write is.

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
    """What a body of /api/v1/telemetry is.

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
    encoding = ENCODINGS.get(_token(content_encoding) or "identity")
    if encoding is None:
        raise UnsupportedMedia(
            f"Content-Encoding {_shown(content_encoding)} is not read here; expected one of {', '.join(ENCODINGS)}"
        )
    return Negotiated(codec, encoding, framing == "delimited")


def _parameters(content_type: bytes | None) -> dict[str, str]:
    """The parameters of a protobuf content type, names in lower case."""
    media_type, *rest = (content_type or b"").decode("latin-1").split(";")
    if media_type.strip().lower() != MEDIA_TYPE:
        raise UnsupportedMedia(f"Content-Type {_shown(content_type)} is not read here; expected {MEDIA_TYPE}")
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
