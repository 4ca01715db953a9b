"""The hot endpoint over real sockets: paths, what a request becomes, drain, addresses."""

import gzip

import pytest
from sources.http.edge_rig import NOW_MS, PATIENCE_S, V2_HEADERS, WRITE_HEADERS, Rig, get, post, telemetry, until, write

from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt


@pytest.mark.parametrize(
    ("headers", "codec"), [(WRITE_HEADERS, Codec.REMOTE_WRITE_1), (V2_HEADERS, Codec.REMOTE_WRITE_2)]
)
def test_remote_write(rig: Rig, headers: str, codec: Codec) -> None:
    """A remote write body reaches the intake verbatim; the answer is 204 with numbers written and durability."""
    response = rig.exchange(write(b"\x00body\xff", headers))
    assert (response.status, response.body) == (204, b"")
    assert "content-length" not in response.headers
    assert response.written == (["2", "1", "3"] if codec == Codec.REMOTE_WRITE_2 else [None] * 3)
    assert response.headers["x-nissa-durability"] == "fsync"
    assert rig.intake.frames == [Frame(codec, Encoding.SNAPPY, Source.HTTP, NOW_MS, b"\x00body\xff")]


@pytest.mark.parametrize(
    ("proto", "codec"),
    [
        ("esper.leyline.v1.BusEnvelope", Codec.LEYLINE_BUS),
        ("esper.leyline.v1.EventEnvelope", Codec.LEYLINE_EVENT),
        ("esper.leyline.v1.TelemetryPacket", Codec.LEYLINE_PACKET),
        ("nissa.v2.TelemetryPacket", Codec.NISSA_PACKET),
        ("nissa.v2.SampleColumns", Codec.NISSA_COLUMNS),
        ("nissa.v2.MetricPoint", Codec.NISSA_POINT),
        ("nissa.v2.TelemetryEvent", Codec.NISSA_EVENT),
        ("nissa.v2.AlertNotification", Codec.NISSA_ALERT),
        ("nissa.v2.ControlCommand", Codec.NISSA_COMMAND),
    ],
)
def test_telemetry(rig: Rig, proto: str, codec: Codec) -> None:
    """Each telemetry message has its codec, framing and encoding read from its headers."""
    assert rig.exchange(telemetry(proto)).status == 204
    assert rig.exchange(telemetry(proto, "Content-Encoding: ZSTD\r\n", ' ; Encoding="delimited"')).status == 204
    plain, delimited = rig.intake.frames
    assert (plain.codec, plain.encoding, plain.delimited) == (codec, Encoding.IDENTITY, False)
    assert (delimited.codec, delimited.encoding, delimited.delimited) == (codec, Encoding.ZSTD, True)


def test_gzip_bodies_pass_through(rig: Rig) -> None:
    """The edge never decompresses: a frame keeps its body as received."""
    body = gzip.compress(b"b" * 1_000)
    headers = "Content-Type: application/x-protobuf; proto=nissa.v2.TelemetryPacket\r\nContent-Encoding: gzip\r\n"
    assert rig.exchange(post("/api/v1/telemetry", headers, body)).status == 204
    assert (rig.intake.frames[0].encoding, rig.intake.frames[0].body) == (Encoding.GZIP, body)


def test_metrics(rig: Rig) -> None:
    """GET /metrics negotiates by Accept and Accept-Encoding; HEAD has the same headers and no body."""
    headers = "Accept: a/b\r\nAccept: c/d;q=0.5\r\nAccept-Encoding: gzip\r\n"
    response = rig.exchange(get("/metrics?x=1", headers))
    assert (response.status, response.body) == (200, b"a/b, c/d;q=0.5|gzip\n")
    assert response.headers["content-type"] == "text/plain; version=0.0.4"
    with rig.connect() as client:
        client.send(get("/metrics", headers, method="HEAD") + get("/metrics", headers))
        head, whole = client.read(head_only=True), client.read()
        assert head.headers == whole.headers == response.headers
        assert whole.body == response.body


def test_health(rig: Rig) -> None:
    """Healthy as long as it serves; ready as long as the intake is."""
    assert rig.exchange(get("/-/healthy")).status == 200
    assert rig.exchange(get("/-/ready")).status == 200
    rig.intake.ready = False
    response = rig.exchange(get("/-/ready"))
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert rig.exchange(get("/-/healthy", method="HEAD")).status == 200


@pytest.mark.parametrize(
    ("raw", "status", "allow"),
    [
        (get("/api/v1/write"), 405, "POST, OPTIONS"),
        (get("/api/v1/telemetry", method="HEAD"), 405, "POST, OPTIONS"),
        (post("/metrics", "", b"x"), 405, "GET, HEAD, OPTIONS"),
        (get("/-/ready", method="DELETE"), 405, "GET, HEAD, OPTIONS"),
        (get("/"), 404, None),
        (get("/metrics/"), 308, None),
        (get("/api/v1/../../metrics"), 404, None),
        (get("*", method="OPTIONS"), 204, "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        (get("http://other/metrics"), 200, None),
        (get("HTTP://other:80/metrics?x#y"), 200, None),
        (get("http://other"), 404, None),
        (get("ftp://other/metrics"), 404, None),
    ],
)
def test_paths_and_methods(rig: Rig, raw: bytes, status: int, allow: str | None) -> None:
    """Unknown paths are 404; wrong methods 405 with Allow; a target in absolute form is read by its path."""
    response = rig.exchange(raw)
    assert (response.status, response.headers.get("allow")) == (status, allow)


def test_listeners_of_otlp(rig: Rig) -> None:
    """Further listeners have the paths of OTLP and no other, with answers in the content type of the request."""
    sent = [
        (post("/v1/logs", "Content-Type: application/json\r\n", b"{}"), 200),
        (post("/api/v1/otlp/v1/metrics", "Content-Type: application/x-protobuf\r\n", b""), 200),
        (write(), 404),
        (get("/metrics"), 404),
        (get("//v1/logs/"), 308),
        (get("//metrics"), 404),
    ]
    rig.intake.outcome = Receipt()
    for address in rig.server.otlp_addresses:
        with rig.connect(address) as client:
            for raw, status in sent:
                client.send(raw)
                answer = client.read()
                assert answer.status == status, raw
    assert b"/v1/metrics, /api/v1/otlp/v1/metrics, /v1/logs, /api/v1/otlp/v1/logs\n" in answer.body
    assert b"/api/v1/write" not in answer.body
    assert [frame.codec for frame in rig.intake.frames] == [Codec.OTLP_LOGS_JSON, Codec.OTLP_METRICS] * 2
    rig.run(rig.server.drain).result(PATIENCE_S)
    with pytest.raises(OSError), rig.connect(rig.server.otlp_addresses[0]):
        pass


def test_drain_answers_what_is_under_way(rig: Rig) -> None:
    """Draining finishes arriving and waiting requests, closes connections, and takes no new request."""
    rig.intake.manual = True
    with rig.connect() as idle, rig.connect() as waiting, rig.connect() as arriving:
        idle.send(get("/-/healthy"))
        assert idle.read().status == 200
        waiting.send(write() + write())
        arriving.send(write()[:-1])
        rig.intake.wait(2)
        until(lambda: rig.cells.buffered_bytes > 0)  # it is arriving
        drained = rig.run(rig.server.drain)
        assert idle.read_to_end() == b""
        arriving.send(write()[-1:])
        rig.intake.wait(3)
        assert not drained.done()
        for index in range(3):
            rig.intake.complete(index)
        answers = [waiting.read(), waiting.read(), arriving.read()]
        assert [answer.status for answer in answers] == [204, 204, 204]
        assert [answer.headers.get("connection") for answer in answers] == [None, "close", "close"]
        assert waiting.read_to_end() == arriving.read_to_end() == b""
        assert drained.result(PATIENCE_S) == 0
        with pytest.raises(OSError), rig.connect():
            pass


def test_drain_has_an_end() -> None:
    """A sender that never finishes is cut off when the drain's time is over, and counted."""
    with Rig(drain_timeout_ms=200) as rig, rig.connect() as client:
        client.send(write()[:-1])
        until(lambda: rig.cells.buffered_bytes > 0)
        assert rig.run(rig.server.drain).result(PATIENCE_S) == 1
