"""Content types and encodings as senders spell them."""

import pytest

from nissa.model.errors import UnsupportedMedia
from nissa.model.frame import Codec, Encoding
from nissa.sources.negotiate import ENCODINGS, Negotiated, negotiate_telemetry, negotiate_write


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        (b"application/x-protobuf", Codec.REMOTE_WRITE_1),
        (b"application/x-protobuf;proto=prometheus.WriteRequest", Codec.REMOTE_WRITE_1),
        (b"Application/X-Protobuf ; charset=utf-8; PROTO = prometheus.WriteRequest ;", Codec.REMOTE_WRITE_1),
        (b"application/x-protobuf;proto=io.prometheus.write.v2.Request", Codec.REMOTE_WRITE_2),
        (b'application/x-protobuf; proto="io.prometheus.write.v2.Request"', Codec.REMOTE_WRITE_2),
    ],
)
def test_write_content_types(content_type: bytes, codec: Codec) -> None:
    """Case, space, quotes and foreign parameters make no difference; the message name chooses the version."""
    assert negotiate_write(content_type, b" Snappy ") == Negotiated(codec, Encoding.SNAPPY)


@pytest.mark.parametrize("name", list(ENCODINGS))
def test_telemetry_encodings(name: str) -> None:
    """Each encoding is read by its name, in any case."""
    content_type = b"application/x-protobuf; proto=nissa.v2.MetricPoint"
    assert negotiate_telemetry(content_type, name.upper().encode()).encoding == ENCODINGS[name]
    assert negotiate_telemetry(content_type, None).encoding == Encoding.IDENTITY


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b";",
        b"text/plain",
        b"application/x-protobuf; proto",
        b"application/x-protobuf; proto=nissa.v2.metricpoint",
        b"application/x-protobuf; proto=nissa.v2.MetricPoint; proto=nissa.v2.MetricPoint",
        b"application/x-protobuf, application/x-protobuf; proto=nissa.v2.MetricPoint",
        b"\xff\xfe" * 1_000,
    ],
)
def test_messages_show_what_was_got(content_type: bytes | None) -> None:
    """What is not read is named, cut short, beside what would be."""
    with pytest.raises(UnsupportedMedia, match=r"expected|twice") as caught:
        negotiate_telemetry(content_type, None)
    assert len(str(caught.value)) < 700
