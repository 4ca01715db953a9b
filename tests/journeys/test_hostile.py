"""Hostile requests to a live daemon: each is refused with a reason, and a good sender beside them is not affected.

A case is one request: its name, its bytes, and the answer required: a 4xx with the fault, its place, and the limit.
"""

import contextlib
import gzip
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import cramjam
import pytest
from journeys.rig import HEADERS, SANITIZED, Daemon, Ledger, Senders, connect, giving_back, running

from nissa._proto import remote_write_v1_pb2 as pb

MIB: Final = 1 << 20
# What one frame may take: 20 bytes of memory for a sample, 64 and more for a series.
SAMPLES_MAX: Final = 500_000
SERIES_MAX: Final = 100_000
# A body as received and as decompressed (ingest.body_size_max, ingest.decompressed_size_max), and its columns.
GROWTH_BYTES_MAX: Final = 32 * MIB + 32 * MIB + 20 * SAMPLES_MAX + 64 * SERIES_MAX
BOMBS: Final = 30
PACKET: Final = "application/x-protobuf; proto=nissa.v2.TelemetryPacket"
LEYLINE: Final = "application/x-protobuf; proto=esper.leyline.v1.TelemetryPacket"
WRITE_2: Final = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
DECOMPRESSED: Final = "ingest.decompressed_size_max"


class Case(NamedTuple):
    """One hostile request and its answer. words: each must stand in the answer."""

    name: str
    body: bytes
    status: int
    words: tuple[str, ...]
    content_type: str = "application/x-protobuf"
    encoding: str = "snappy"


def varint(number: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def label(name: bytes, value: bytes) -> bytes:
    """A label of a series of remote write 1.0."""
    return field(1, field(1, name) + field(2, value))


def sample(ts_ms: int, value: float = 1.0) -> bytes:
    """A sample of remote write 1.0."""
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(ts_ms & (2**64 - 1)))


def series(*parts: bytes) -> bytes:
    """A request of one series."""
    return field(1, b"".join(parts))


NAMED: Final = label(b"__name__", b"hostile")


def snappy(body: bytes) -> bytes:
    """A snappy block."""
    return bytes(cramjam.snappy.compress_raw(body))


def malformed(name: str, body: bytes, *words: str) -> Case:
    """A remote write 1.0 body that cannot be decoded."""
    return Case(name, snappy(body), 400, words or ("at byte",))


def write_cases(now_ms: int) -> Iterator[Case]:
    """Bodies that are no protobuf, or contain impossible values."""
    good = series(NAMED, sample(now_ms))
    for cut in range(1, len(good), 7):
        yield malformed(f"cut at {cut}", good[:cut])
    yield malformed("a group", b"\x0b\x0c")
    yield malformed("a label that is a varint", series(b"\x08\x01", sample(now_ms)), "record_malformed: 1", "byte 2")
    yield malformed("a value that is a varint", series(NAMED, field(2, b"\x08\x01")), "record_malformed: 1")
    yield malformed("field number 0", b"\x02\x00")
    yield malformed("a tag of 11 bytes", b"\x8a" + b"\x80" * 9 + b"\x01")
    yield malformed("a length of 10 bytes of ones", b"\x0a" + b"\xff" * 9 + b"\x01")
    yield malformed("a length that wraps 64 bits", b"\x0a" + varint(2**64 - 1) + b"x")
    yield malformed("a length of 2^31", b"\x0a" + varint(2**31) + b"x")
    yield malformed("a varint that never ends", b"\x0a\x02\x10" + b"\x80" * 11)
    for name, pair in (("a label", label(b"a", b"\xff\xfe")), ("a surrogate", label(b"a", b"\xed\xa0\x80"))):
        yield malformed(f"{name} that is not UTF-8", series(NAMED, pair, sample(now_ms)), "text_not_utf8: 1")


def refused_cases(now_ms: int) -> Iterator[Case]:
    """Requests that decode, of series or samples that cannot be kept."""

    def refused(name: str, body: bytes, *words: str) -> Case:
        return Case(name, snappy(body), 400, words)

    yield refused(
        "a duplicate label", series(NAMED, label(b"a", b"1"), label(b"a", b"2"), sample(now_ms)), "label_duplicate"
    )
    yield refused("a label without a name", series(NAMED, label(b"", b"1"), sample(now_ms)), "label_name_empty: 1")
    yield refused("no metric name", series(label(b"a", b"1"), sample(now_ms)), "name_missing: 1")
    for name, ts_ms, word in (
        ("the first time there is", -(2**63), "too_old: 1 (setting: acceptance.past)"),
        ("the last time there is", 2**63 - 1, "too_new: 1 (setting: acceptance.future)"),
        ("time 0", 0, "too_old: 1"),
    ):
        yield refused(name, series(NAMED, sample(ts_ms)), word)
    many = b"".join(label(b"l%d" % index, b"v") for index in range(1000))
    yield refused("1,000 labels", series(NAMED, many, sample(now_ms)), "series.labels_per_series_max")
    yield refused("a million labels", series(NAMED, label(b"", b"") * 1_000_000, sample(now_ms)), "labels_too_many")
    long = series(NAMED, label(b"a", b"v" * 70_000), sample(now_ms))
    yield refused("a label of 70,000 bytes", long, "label_too_long: 1", "series.label_value_size_max")


def size_cases(now_ms: int) -> Iterator[Case]:
    """Bodies that are small and say they are large, or that are large."""
    zeros = bytes(64 * MIB)
    claims = varint(2**32 - 1) + b"\x00\x00"
    yield Case("snappy that declares 2^32 - 1 bytes", claims, 413, ("4294967295", "33554432", DECOMPRESSED))
    yield Case("snappy that declares more than it can hold", varint(30 * MIB) + b"\x00\x00", 400, ("declare",))
    yield Case("a snappy bomb", snappy(zeros), 413, ("67108864", DECOMPRESSED))
    yield Case("broken snappy", b"\x05\xff\xff\xff", 400, ("snappy",))
    yield Case("the framed format", b"\xff\x06\x00\x00sNaPpY", 400, ("framed", "block"))
    yield Case("nothing at all", b"", 400, ("snappy", "empty"))
    yield Case("a gzip bomb", gzip.compress(zeros, 9), 413, ("gzip", DECOMPRESSED), PACKET, "gzip")
    yield Case("a zstd bomb", bytes(cramjam.zstd.compress(zeros, 9)), 413, ("zstd", DECOMPRESSED), PACKET, "zstd")
    yield Case("gzip cut off", gzip.compress(zeros[:MIB])[:-9], 400, ("gzip",), PACKET, "gzip")
    yield Case("zstd cut off", bytes(cramjam.zstd.compress(zeros[:MIB]))[:-5], 400, ("zstd",), PACKET, "zstd")
    members = gzip.compress(b"") * 2_000
    yield Case("2,000 gzip members", members, 400, ("gzip", "1000"), PACKET, "gzip")
    many = snappy(field(1, label(b"a", b"") + field(2, b"")) * (SERIES_MAX + 1))
    yield Case("too many series", many, 413, (str(SERIES_MAX), "ingest.frame_series_max"))
    samples = snappy(series(NAMED, field(2, b"") * (SAMPLES_MAX + 1)))
    yield Case("too many samples", samples, 413, (str(SAMPLES_MAX), "ingest.frame_samples_max"))


def telemetry_cases(now_ms: int) -> Iterator[Case]:
    """Packets of Leyline and nissa.v2, and remote write 2.0."""
    point = field(10, field(1, b"a.b") + b"\x11" + struct.pack("<d", 1.0))
    for content_type in (PACKET, LEYLINE):
        yield Case("a point cut off", point[:-1], 400, ("at byte",), content_type, "")
        yield Case(
            "a name that is not UTF-8", field(10, field(1, b"\xff")), 400, ('"text_not_utf8":1',), content_type, ""
        )
        yield Case("a name that is a number", field(10, b"\x08\x01"), 400, ('"record_malformed":1',), content_type, "")
        delimited = content_type + "; encoding=delimited"
        yield Case("a message longer than the body", b"\xff\x7f" + point, 400, ("at byte",), delimited, "")
        yield Case("a length of 11 bytes", b"\x80" * 11, 400, ("at byte",), delimited, "")
    yield Case("symbols that do not begin empty", snappy(field(4, b"x")), 400, ("at byte",), WRITE_2)
    refs = snappy(field(4, b"") + field(5, field(1, b"\x01\x07") + field(2, b"\x10" + varint(now_ms))))
    yield Case("a reference behind the symbols", refs, 400, ("reference_invalid: 1",), WRITE_2)


def header_cases(now_ms: int) -> Iterator[Case]:
    """Content that is none of ours."""
    good = snappy(series(NAMED, sample(now_ms)))
    yield Case("JSON", b"{}", 415, ("application/json", "application/x-protobuf"), "application/json")
    yield Case("another encoding", good, 415, ("'br'", "snappy"), encoding="br")
    other = "application/x-protobuf; proto=no.such.Message"
    yield Case("another message", b"", 415, ("no.such.Message", "nissa.v2.TelemetryPacket"), other, "")


def cases() -> list[Case]:
    """All of them."""
    now_ms = int(time.time() * 1000)
    kinds: list[Callable[[int], Iterator[Case]]] = [
        write_cases,
        refused_cases,
        size_cases,
        telemetry_cases,
        header_cases,
    ]
    return [case for kind in kinds for case in kind(now_ms)]


def attack(daemon: Daemon, case: Case) -> tuple[int, str]:
    """Send one case on a connection of its own."""
    link = connect(daemon.ingest_url)
    is_write = (
        "nissa" not in case.content_type and "leyline" not in case.content_type and "such" not in case.content_type
    )
    headers = {"Content-Type": case.content_type} | ({"Content-Encoding": case.encoding} if case.encoding else {})
    link.request("POST", "/api/v1/write" if is_write else "/api/v1/telemetry", case.body, headers)
    reply = link.getresponse()
    text = reply.read().decode()
    link.close()
    return reply.status, text


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with the limits of a small machine."""
    environment = {
        "NISSA_INGEST__FRAME_SAMPLES_MAX": str(SAMPLES_MAX),
        "NISSA_INGEST__FRAME_SERIES_MAX": str(SERIES_MAX),
    }
    with running(tmp_path / "data", environment=environment, start=giving_back) as daemon:
        yield daemon


def test_hostile_bodies_are_refused_and_nobody_else_notices(daemon: Daemon) -> None:
    """Each hostile body gets its 4xx and its words; memory stays bounded; the good sender's samples are all there."""
    ledger = Ledger(11)
    senders = Senders(daemon, ledger, count=1)
    daemon.export()
    before_bytes = daemon.rss_bytes
    wrong, most_bytes, tried = [], before_bytes, cases()
    for case in tried:
        status, text = attack(daemon, case)
        if status != case.status or any(word not in text for word in case.words):
            wrong.append((case.name, status, text[:200]))
        most_bytes = max(most_bytes, daemon.rss_bytes)
    senders.stop()
    print(f"{len(tried)} cases, memory grew by {(most_bytes - before_bytes) / MIB:.0f} MiB")
    assert not wrong
    assert SANITIZED or most_bytes - before_bytes <= GROWTH_BYTES_MAX
    assert senders.statuses.keys() == {204}
    ledger.check(daemon.export())
    assert not any(daemon.unaccounted().values())
    assert daemon.export('{__name__="hostile"}') == {}
    assert daemon.get("/api/status")["mode"] == "ready"


def test_refused_bodies_do_not_pile_up(daemon: Daemon) -> None:
    """The same large body refused again and again takes the memory of a few of them: none is kept behind its answer."""
    bomb = Case("a snappy bomb", snappy(bytes(64 * MIB)), 413, ())
    daemon.export()  # loads the modules that are loaded after the ready line
    attack(daemon, bomb)
    before_bytes = daemon.rss_bytes
    for _ in range(BOMBS):
        assert attack(daemon, bomb)[0] == bomb.status
    print(f"memory grew by {(daemon.rss_bytes - before_bytes) / MIB:.0f} MiB of {BOMBS * len(bomb.body) / MIB:.0f}")
    assert SANITIZED or daemon.rss_bytes - before_bytes < BOMBS * len(bomb.body) / 2


def test_payloads_of_nan_are_kept_as_they_are(daemon: Daemon) -> None:
    """A value of any bits is a value: all of them come back, beside hostile neighbours in the same request."""
    now_ms = int(time.time() * 1000)
    patterns = [0x7FF8000000000000, 0x7FF0000000000002, 0x7FF0000000000001, 0xFFFFFFFFFFFFFFFF, 0x8000000000000000, 1]
    request = pb.WriteRequest()
    body = request.SerializeToString()
    for index, bits in enumerate(patterns):
        value = field(2, b"\x09" + struct.pack("<Q", bits) + b"\x10" + varint(now_ms))
        body += series(label(b"__name__", b"odd"), label(b"n", b"%d" % index), value)
    body += series(label(b"__name__", b"odd"), label(b"n", b"x"), label(b"n", b"y"), sample(now_ms))
    status, text = attack(daemon, Case("odd", snappy(body), 400, ()))
    assert (status, text.split("\n")[1].split(";")[0]) == (400, "label_duplicate: 1")
    found = {dict(labels)["n"]: samples[now_ms] for labels, samples in daemon.export('{__name__="odd"}').items()}
    canonical = {0x7FF8000000000000: 0x7FF8000000000001}  # the two plain NaNs are one null in JSON
    assert found == {str(index): canonical.get(bits, bits) for index, bits in enumerate(patterns)}


SMUGGLED: Final = {
    "both lengths": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length with a sign": "Content-Length: +5\r\n\r\nhello",
    "a coding nobody knows": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked that is not last": "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a chunk size that wraps": "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
    "a folded header": "X-A: 1\r\n  2\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": "Content-Length : 5\r\n\r\nhello",
    "a NUL in a header": "X-A: \0\r\nContent-Length: 0\r\n\r\n",
    "too many headers": "".join(f"X-{index}: 1\r\n" for index in range(1_000)) + "\r\n",
    "a header of a megabyte": f"X-A: {'a' * MIB}\r\n\r\n",
    "a body that is announced too large": f"Content-Length: {2**40}\r\n\r\n",
}


def test_a_request_that_two_parsers_could_read_apart_ends_its_connection(daemon: Daemon) -> None:
    """The answer is a refusal, and bytes behind it on the connection are not read as a request."""
    good = Ledger(12).body(1)
    head = "".join(f"{header}: {value}\r\n" for header, value in {**HEADERS, "Host": "x"}.items())
    behind = f"POST /api/v1/write HTTP/1.1\r\n{head}Content-Length: {len(good)}\r\n\r\n".encode() + good
    answers = {
        name: exchange(daemon, f"POST /api/v1/write HTTP/1.1\r\n{head}{smuggled}".encode() + behind)
        for name, smuggled in SMUGGLED.items()
    }
    statuses = {name: int(answer.split()[1]) for name, answer in answers.items()}
    unknown = {"a coding nobody knows": 501}  # RFC 9112, 6.1
    assert all(400 <= status < 500 for name, status in statuses.items() if name not in unknown), statuses
    assert statuses.items() >= unknown.items()
    assert all(answer.count(b"HTTP/1.1 ") == 1 for answer in answers.values())
    assert daemon.export() == {}


def exchange(daemon: Daemon, sent: bytes) -> bytes:
    """Everything the daemon answers to ``sent`` until it closes."""
    parts = urlsplit(daemon.ingest_url)
    answer = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as link:
        with contextlib.suppress(ConnectionError):  # it was closed before everything was sent; what it said is there
            link.sendall(sent)
        with contextlib.suppress(ConnectionError):
            while piece := link.recv(65536):
                answer += piece
    return answer
