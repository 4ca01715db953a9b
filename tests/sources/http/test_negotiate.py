"""Content types and encodings as senders spell them."""

import pytest

from nissa.model.context import Context
from nissa.model.errors import Malformed, UnsupportedMedia
from nissa.model.frame import Codec, Encoding
from nissa.sources.http.negotiate import (
    ENCODINGS,
    Negotiated,
    negotiate_import,
    negotiate_lines,
    negotiate_otlp,
    negotiate_push,
    negotiate_telemetry,
    negotiate_write,
    of_json,
)


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
    """The unsupported type is named, cut short, beside the supported ones."""
    with pytest.raises(UnsupportedMedia, match=r"expected|twice") as caught:
        negotiate_telemetry(content_type, None)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("query", "context"),
    [
        (b"", Context()),
        (b"precision=ns&org=o&bucket=b", Context()),
        (b"precision=%C2%B5&db=", Context(parameters={"precision": "µ"})),
        (b"db=my%20db&rp=x", Context(labels={"db": "my db"}, conflict="keep")),
        (b"db=d&precision=second", Context(labels={"db": "d"}, conflict="keep", parameters={"precision": "second"})),
    ],
)
def test_parameters_of_lines(query: bytes, context: Context) -> None:
    """The database becomes a label that a line's own tag beats; the precision goes with the frame unless it is ns."""
    negotiated = negotiate_lines(query, b"gzip", precision="ns")
    assert negotiated == Negotiated(Codec.INFLUX, Encoding.GZIP, context=context.encode())


def test_precision_of_lines() -> None:
    """A path has a default precision; an unknown precision and a repeated parameter are refused."""
    auto = Context(parameters={"precision": "auto"}).encode()
    assert negotiate_lines(b"", None, precision="auto").context == auto
    for query in (b"precision=week", b"db=a&db=b"):
        with pytest.raises(Malformed):
            negotiate_lines(query, None, precision="ns")
    with pytest.raises(UnsupportedMedia, match="expected one of"):
        negotiate_lines(b"", b"br", precision="ns")


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        (None, Codec.IMPORT_LINES),
        (b"application/x-www-form-urlencoded", Codec.IMPORT_LINES),
        (b"application/x-protobuf; proto=nissa.v2.SampleColumns", Codec.NISSA_COLUMNS),
        (b"application/x-protobuf; proto=prometheus.WriteRequest", Codec.REMOTE_WRITE_1),
        (b"Application/OpenMetrics-Text; version=1.0.0", Codec.EXPOSITION),
    ],
)
def test_imports(content_type: bytes | None, codec: Codec) -> None:
    """An import is JSON lines unless its content type says otherwise, in each content encoding."""
    found = negotiate_import(content_type, b"zstd")
    assert (found.codec, found.encoding) == (codec, Encoding.ZSTD)
    with pytest.raises(UnsupportedMedia, match=r"proto 'x\.Y' is not read here"):
        negotiate_import(b"application/x-protobuf; proto=x.Y", None)


def test_otlp() -> None:
    """Protobuf or JSON with any encoding that is read; other types are refused."""
    assert negotiate_otlp(b"application/x-protobuf", b"gzip", of_logs=False) == Negotiated(
        Codec.OTLP_METRICS, Encoding.GZIP
    )
    assert negotiate_otlp(b"application/x-protobuf", None, of_logs=True).codec == Codec.OTLP_LOGS
    assert negotiate_otlp(b"application/x-protobuf; charset=utf-8", b"zstd", of_logs=False).encoding == Encoding.ZSTD
    with pytest.raises(UnsupportedMedia, match="x-protobuf"):
        negotiate_otlp(b"text/plain", None, of_logs=False)
    for of_logs, codec in ((False, Codec.OTLP_METRICS_JSON), (True, Codec.OTLP_LOGS_JSON)):
        found = negotiate_otlp(b"application/json; charset=utf-8", b"gzip", of_logs=of_logs)
        assert found == Negotiated(codec, Encoding.GZIP, json=True)
    assert of_json(b"Application/JSON; charset=utf-8")
    assert not of_json(b"application/x-protobuf")
    assert not of_json(None)


def test_pushes() -> None:
    """Text in every encoding; protobuf is refused."""
    for kind in (None, b"text/plain; version=0.0.4; charset=utf-8", b"application/x-www-form-urlencoded"):
        assert negotiate_push(kind, None) == Negotiated(Codec.EXPOSITION, Encoding.IDENTITY)
    assert negotiate_push(None, b"gzip").encoding == Encoding.GZIP
    with pytest.raises(UnsupportedMedia, match="text/plain"):
        negotiate_push(b"application/vnd.google.protobuf; encoding=delimited", None)
    with pytest.raises(UnsupportedMedia, match="br"):
        negotiate_push(None, b"br")
