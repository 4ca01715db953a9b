"""State that connections share: counts, budgets, pressure, media types, the durability in answers."""

import threading
import time
from contextlib import suppress

import pytest
from sources.http.edge_rig import V2_HEADERS, WRITE_HEADERS, Rig, get, post, telemetry, until, write

from nissa.model.errors import Unavailable
from nissa.model.frame import Frame
from nissa.model.intake import Settle
from nissa.model.receipt import Receipt


def test_requests_are_counted_in_bounded_labels(rig: Rig) -> None:
    """However many paths are asked for, they count as one."""
    for index in range(20):
        rig.exchange(get(f"/{index}"))
    rig.exchange(write())
    assert dict(rig.cells.requests) == {("other", 404): 20, ("/api/v1/write", 204): 1}
    assert sum(rig.cells.latency.counts) == 1
    assert rig.cells.body_bytes == 4


def test_the_durability_told_is_the_one_in_force(rig: Rig) -> None:
    """A change of the mode shows in the next answer."""
    rig.exchange(write())
    rig.intake.durability = "interval:100"
    assert rig.exchange(write()).headers["x-nissa-durability"] == "interval:100"


def test_a_refusal_raised_by_the_intake(rig: Rig) -> None:
    """An intake that raises instead of settling is answered the same way."""

    def submit(frame: Frame, complete: Settle) -> None:
        raise Unavailable("queue full")

    rig.intake.submit = submit  # type: ignore[method-assign]
    assert rig.exchange(write()).status == 503


def test_an_intake_that_breaks(rig: Rig) -> None:
    """Whatever the intake raises, the sender gets a 500, the failure is counted and the connection serves on."""

    def submit(frame: Frame, complete: Settle) -> None:
        raise RuntimeError("broken")

    working, rig.intake.submit = rig.intake.submit, submit  # type: ignore[method-assign]
    with rig.connect() as client:
        client.send(write())
        assert client.read().status == 500
        rig.intake.submit = working  # type: ignore[method-assign]
        client.send(write())
        assert client.read().status == 204
    assert rig.cells.internal_errors == 1


def test_an_outcome_that_cannot_be_told(rig: Rig) -> None:
    """An invalid receipt ends its connection, is counted, and holds up no other connection."""
    rig.intake.outcome = Receipt(refused={"too_old": "many"})  # type: ignore[dict-item]
    with rig.connect() as client:
        client.send(write())
        with suppress(ConnectionResetError):
            assert client.read_to_end() == b""
    assert rig.cells.internal_errors == 1
    rig.intake.outcome = Receipt()
    assert rig.exchange(write()).status == 204


def test_bodies_of_many_senders_do_not_mix(rig: Rig) -> None:
    """Bodies that arrive at once over many connections come out whole, though they share one receive buffer."""
    bodies = [bytes([index]) * 700_000 for index in range(16)]
    senders = [threading.Thread(target=rig.exchange, args=(write(body),)) for body in bodies]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(frame.body for frame in rig.intake.frames) == bodies


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "Content-Encoding: snappy\r\n",
        "Content-Type: application/x-protobuf\r\n",
        "Content-Type: application/json\r\nContent-Encoding: snappy\r\n",
        "Content-Type: application/x-protobuf;proto=nissa.v2.MetricPoint\r\nContent-Encoding: snappy\r\n",
        "Content-Type: application/x-protobuf;proto=a;proto=b\r\nContent-Encoding: snappy\r\n",
        WRITE_HEADERS.replace("snappy", "snappy, gzip"),
        WRITE_HEADERS.replace("snappy", "gzip"),
        WRITE_HEADERS.replace("snappy", "identity"),
        V2_HEADERS.replace("snappy", "zstd"),
    ],
)
def test_write_media_are_strict(rig: Rig, headers: str) -> None:
    """Anything but protobuf in a snappy block is 415 for both versions, and the connection lives on."""
    with rig.connect() as client:
        client.send(write(b"x", headers))
        assert client.read().status == 415
        client.send(write())
        assert client.read().status == 204
    assert len(rig.intake.frames) == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        telemetry("prometheus.WriteRequest"),
        telemetry(""),
        telemetry("nissa.v2.MetricPoint", "Content-Encoding: br\r\n"),
        telemetry("nissa.v2.MetricPoint", parameters="; encoding=text"),
        post("/api/v1/telemetry", "Content-Type: application/x-protobuf\r\n", b""),
    ],
)
def test_telemetry_media_are_strict(rig: Rig, request_bytes: bytes) -> None:
    """Unknown messages, framings and encodings are 415."""
    assert rig.exchange(request_bytes).status == 415


def test_unfinished_bodies_share_a_budget() -> None:
    """Many unfinished bodies together are held to ingest.queue_size_max; what they held is given back."""
    with Rig(queue_bytes_max=1_000_000, body_bytes_max=900_000) as rig:
        with rig.connect() as first, rig.connect() as second:
            unfinished = write(bytes(800_000))[:-1]
            first.send(unfinished)
            until(lambda: rig.cells.buffered_bytes > 700_000)
            second.send(unfinished)
            assert second.read().status == 503
            first.send(b"\0")
            assert first.read().status == 204
        until(lambda: rig.cells.connections == 0)
        assert rig.cells.buffered_bytes == 0


def test_connections_max() -> None:
    """A connection too many gets 503 and is closed; the others are served."""
    with Rig(connections_max=2) as rig, rig.connect() as one, rig.connect() as two:
        for client in (one, two):
            client.send(write())
            assert client.read().status == 204
        with rig.connect() as third:
            assert third.read().status == 503
        one.send(write())
        assert one.read().status == 204
        assert rig.cells.connections_refused == 1


def test_pressure_stops_reading(rig: Rig) -> None:
    """Under pressure a sender is not read: no frame of it arrives until the pressure is gone, and then all do."""
    with rig.connect() as client:
        rig.intake.pressure = True
        client.send(write())
        assert client.read().status == 204
        client.send(write())
        rig.overdue()  # waiting for us is no fault of it
        time.sleep(0.2)
        assert len(rig.intake.frames) == 1
        rig.intake.pressure = False
        assert client.read().status == 204
        assert rig.cells.pauses == 1
    assert sum(rig.cells.timeouts.values()) == 0


def test_options_and_allow(rig: Rig) -> None:
    """OPTIONS names the methods of a path, and of all paths for *; a 405 names the same ones."""
    for path, allow in (("/api/v1/write", "POST, OPTIONS"), ("/metrics", "GET, HEAD, OPTIONS")):
        asked = rig.exchange(get(path, method="OPTIONS"))
        assert (asked.status, asked.headers["allow"]) == (204, allow)
        refused = rig.exchange(get(path, method="DELETE"))
        assert (refused.status, refused.headers["allow"]) == (405, allow)
    everything = rig.exchange(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (everything.status, everything.headers["allow"]) == (204, "GET, HEAD, POST, PUT, DELETE, OPTIONS")


def test_slashes_are_redirected(rig: Rig) -> None:
    """A path with slashes too many is a redirect that keeps method and body; any other names the paths there are."""
    response = rig.exchange(post("/api//v1/write/?x=1", WRITE_HEADERS, b"body"))
    assert (response.status, response.headers["location"]) == (308, "/api/v1/write?x=1")
    assert "/api/v1/telemetry" in rig.exchange(get("/nothing")).body.decode()


def test_every_answer_has_a_date() -> None:
    """Date stands on answers of every kind, the one to a connection too many included."""
    with Rig(connections_max=1) as rig, rig.connect() as client:
        for raw in (write(), get("/metrics"), get("/nothing"), b"nonsense\r\n\r\n"):
            client.send(raw)
            assert client.read().headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
            with rig.connect() as other:
                assert other.read().headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_a_priority_that_is_none(rig: Rig) -> None:
    """A header with another word is refused before the body is read; a known one changes nothing without pressure."""
    bad, good = (write().replace(b"\r\n", b"\r\nX-Nissa-Priority: %s\r\n" % word, 1) for word in (b"urgent", b"high"))
    answer = rig.exchange(bad)
    assert (answer.status, b"expected low, normal, high, critical" in answer.body) == (400, True)
    assert rig.exchange(good).status == 204
