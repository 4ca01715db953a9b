"""The bytes of a segment, against the page that draws them and against one frozen file."""

import os
import struct
from pathlib import Path

import msgspec
import pytest
from google_crc32c import value
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.journal.recovery import RecoveryReport, read_segment
from nissa.journal.segment import (
    HEADER_BYTES,
    SegmentFile,
    decode_segment_header,
    encode_frame_header,
    encode_segment_header,
    first_lsn_of,
    frame_bytes,
    segment_name,
    stored_bytes,
)
from nissa.model.context import NO_CONTEXT, Context, decode_context
from nissa.model.errors import UnknownFormat
from nissa.model.frame import Codec, Encoding, Frame, Source

GOLDEN = Path(__file__).parents[1] / "goldens" / "journal-1.journal"
UUID = bytes(range(16))
CONTEXT_GOLDEN = GOLDEN.with_name("journal-1-context.journal")
CONTEXTS = [
    Context(labels={"job": "node", "instance": "10.0.0.1:9100"}, conflict="keep", url="http://10.0.0.1:9100/metrics"),
    Context(stream="oona.normal", ids=("1693-0", "1693-1"), tenant=("tenant", "acme")),
    Context(subject="system.error.critical", parameters={"version": "1.0.0"}),
]
CONTEXT_FRAMES = [
    Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, 1_700_000_000_000, b"\x00", context=CONTEXTS[0].encode()),
    Frame(Codec.LEYLINE_BUS, Encoding.IDENTITY, Source.HTTP, 1_700_000_000_001, b"", True, CONTEXTS[1].encode()),
    Frame(Codec.LEYLINE_BUS, Encoding.IDENTITY, Source.HTTP, 1_700_000_000_002, b"plain", True),
    Frame(Codec.NISSA_EVENT, Encoding.IDENTITY, Source.SELF, 1_700_000_000_003, bytes(99), False, CONTEXTS[2].encode()),
]
GOLDEN_FRAMES = [
    Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, 1_700_000_000_000, b"\x00"),
    Frame(Codec.LEYLINE_BUS, Encoding.IDENTITY, Source.HTTP, 1_700_000_000_001, b"a body of 23 bytes here", True),
    Frame(Codec.NISSA_COLUMNS, Encoding.ZSTD, Source.SELF, 1_700_000_000_002, b""),
    Frame(Codec.TALLY, Encoding.GZIP, Source.EMBEDDED, -1, bytes(range(256))),
]


def segment_of(frames: list[Frame], *, first_lsn: int = 1, after_lsn: int = 0) -> bytes:
    """A segment's bytes as the format page says, LSNs from first_lsn, each frame a commit of its own."""
    data, crc = encode_segment_header(UUID, first_lsn=first_lsn, after_lsn=after_lsn, created_ms=1_700_000_000_000)
    for lsn, frame in enumerate(frames, first_lsn):
        head, crc = encode_frame_header(frame, UUID, lsn=lsn, durable_lsn=lsn - 1, new_series=lsn * 3, prev_crc=crc)
        data += head + frame.body + bytes(-(len(head) + len(frame.body)) % 8)
    return data


def test_the_golden_segment_is_read_and_written_the_same() -> None:
    """A file of version 1, frozen at its first release, gives its frames, and today's bytes are the same."""
    report = RecoveryReport()
    entries = list(read_segment(GOLDEN, report))
    assert [entry.frame for entry in entries] == GOLDEN_FRAMES
    assert [(entry.lsn, entry.durable_lsn, entry.new_series) for entry in entries] == [
        (41, 40, 123),
        (42, 41, 126),
        (43, 42, 129),
        (44, 43, 132),
    ]
    assert (report.rot_frames, report.torn_bytes) == (0, 0)
    assert GOLDEN.read_bytes() == segment_of(GOLDEN_FRAMES, first_lsn=41, after_lsn=40)


def test_the_golden_segment_with_contexts_is_read_and_written_the_same(tmp_path: Path) -> None:
    """Frames with a context, frozen at its first release, beside one without."""
    assert [entry.frame for entry in read_segment(CONTEXT_GOLDEN)] == CONTEXT_FRAMES
    assert CONTEXT_GOLDEN.read_bytes() == segment_of(CONTEXT_FRAMES)
    assert [decode_context(frame.context) for frame in CONTEXT_FRAMES] == [*CONTEXTS[:2], NO_CONTEXT, CONTEXTS[2]]
    path = tmp_path / "one.journal"
    for frame in CONTEXT_FRAMES:
        path.write_bytes(segment_of([frame]))
        assert path.stat().st_size == HEADER_BYTES + stored_bytes(frame)


def test_every_flip_in_a_context_is_found(tmp_path: Path) -> None:
    """The checksum covers the context and its length: no flipped bit gives another frame."""
    data, path = segment_of(CONTEXT_FRAMES[:1]), tmp_path / "flipped.journal"
    for offset in range(2 * HEADER_BYTES, 2 * HEADER_BYTES + 4 + len(CONTEXT_FRAMES[0].context)):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        path.write_bytes(flipped)
        assert list(read_segment(path)) == []


@pytest.mark.parametrize("context", [msgspec.msgpack.encode({"colour": "red"}), b"\xc1", b"\x80 and more", b"short"])
def test_a_context_that_is_not_known_is_refused_not_guessed(tmp_path: Path, context: bytes) -> None:
    """A whole frame whose context has a field of a later version, or is none, raises UnknownFormat with its place."""
    frame = Frame(Codec.NISSA_EVENT, Encoding.IDENTITY, Source.HTTP, 5, b"body", context=context)
    path = tmp_path / "newer.journal"
    path.write_bytes(segment_of([frame]))
    with pytest.raises(UnknownFormat, match=r"context of the frame at byte 64 \(lsn 1\) cannot be read"):
        list(read_segment(path))


def test_a_segment_header_has_its_fields_where_the_page_draws_them() -> None:
    """Magic, version, uuid, LSNs, time and checksum stand at their offsets, little endian."""
    data, crc = encode_segment_header(UUID, first_lsn=7, after_lsn=5, created_ms=-2)
    assert len(data) == HEADER_BYTES
    assert data[:8] == b"NISSAJ01"
    assert struct.unpack_from("<II", data, 8) == (1, 0)
    assert data[16:32] == UUID
    assert struct.unpack_from("<QqQ4sI", data, 32) == (7, -2, 5, bytes(4), crc)
    assert crc == value(data[:60])


def test_a_frame_header_has_its_fields_where_the_page_draws_them() -> None:
    """Every field stands at its offset and the checksum covers header and body."""
    frame = Frame(Codec.NISSA_EVENT, Encoding.GZIP, Source.REPLAY, -5, b"body", True)
    head, crc = encode_frame_header(frame, UUID, lsn=9, durable_lsn=8, new_series=2**32 - 1, prev_crc=77)
    assert head[:4] == b"NSF1"
    assert struct.unpack_from("<I", head, 4) == (4,)
    assert head[8:24] == UUID
    assert struct.unpack_from("<QQqBBBBIII", head, 24) == (9, 8, -5, 9, 3, 3, 1, 2**32 - 1, 77, crc)
    assert crc == value(head[:60] + b"body")
    assert frame_bytes(4) == 72
    assert frame_bytes(0) == 64
    assert frame_bytes(8) == 72


def test_names_sort_as_lsns_and_only_names_of_segments_are_read() -> None:
    """Twenty digits; anything else is no segment."""
    numbers = [1, 9, 10, 10**9, 2**63 - 1]
    names = [segment_name(number) for number in numbers]
    assert names == sorted(names)
    assert [first_lsn_of(name) for name in names] == numbers
    for name in ("1.journal", f"{1:020d}", f"{1:021d}.journal", f"{1:020d}.journal.bak", "9" * 20 + ".journal", "LOCK"):
        assert first_lsn_of(name) is None


def test_a_damaged_or_short_header_is_none_and_a_newer_one_is_refused() -> None:
    """Any flipped bit of the header is found; a version above 1 with a good checksum raises UnknownFormat."""
    data, _ = encode_segment_header(UUID, first_lsn=7, after_lsn=5, created_ms=1)
    path = Path("some.journal")
    assert decode_segment_header(data, path) is not None
    for bit in range(len(data) * 8):
        hurt = bytearray(data)
        hurt[bit // 8] ^= 1 << bit % 8
        assert decode_segment_header(bytes(hurt), path) is None
    for length in range(HEADER_BYTES):
        assert decode_segment_header(data[:length], path) is None
    for offset, newer in ((8, b"\x02"), (7, b"2")):
        body = data[:offset] + newer + data[offset + 1 : 60]
        with pytest.raises(UnknownFormat, match=r"some\.journal"):
            decode_segment_header(body + struct.pack("<I", value(body)), path)


@pytest.mark.parametrize(("offset", "number"), [(48, 200), (49, 9), (50, 77), (51, 4)])
def test_a_frame_with_unknown_numbers_is_refused_not_guessed(tmp_path: Path, offset: int, number: int) -> None:
    """A whole frame with a codec, encoding, source or flag this Nissa does not know raises UnknownFormat, naming it."""
    data = bytearray(segment_of(GOLDEN_FRAMES[:1]))
    data[HEADER_BYTES + offset] = number
    body = GOLDEN_FRAMES[0].body
    checked = bytes(data[HEADER_BYTES : HEADER_BYTES + 60])
    data[HEADER_BYTES + 60 : HEADER_BYTES + 64] = struct.pack("<I", value(checked + body))
    path = tmp_path / "newer.journal"
    path.write_bytes(data)
    with pytest.raises(UnknownFormat, match=rf"byte 64 \(lsn 1\).*{number}"):
        list(read_segment(path))


def test_a_large_frame_across_the_read_window_is_read_whole(tmp_path: Path) -> None:
    """Bodies larger than one read, and headers that straddle two, come back."""
    sizes = [5, 1_048_500, 40, 3_000_000, 0, 1_048_576 - 64, 17]
    frames = [Frame(Codec.REMOTE_WRITE_2, Encoding.SNAPPY, Source.HTTP, 1, os.urandom(size)) for size in sizes]
    path = tmp_path / "large.journal"
    path.write_bytes(segment_of(frames))
    assert [entry.frame for entry in read_segment(path)] == frames


def test_a_length_beyond_the_file_is_not_believed(tmp_path: Path) -> None:
    """A frame that says it is 4 GiB long is invalid without being read."""
    data = bytearray(segment_of(GOLDEN_FRAMES))
    data[HEADER_BYTES + 4 : HEADER_BYTES + 8] = b"\xff" * 4
    path = tmp_path / "long.journal"
    path.write_bytes(data)
    with SegmentFile(path) as file:
        assert file.frame_at(HEADER_BYTES, UUID) is None
        assert [entry.lsn for entry in file.frames_after(HEADER_BYTES, UUID)] == [2, 3, 4]
        assert file.data_end(0) == len(data)
        assert file.data_end(len(data)) == len(data)


@settings(max_examples=60, deadline=None)
@given(
    bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=6),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), max_size=3),
)
def test_flipped_bits_never_give_an_altered_frame(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes], flips: list[tuple[int, int]]
) -> None:
    """Whatever bits are flipped, each frame that is read is one that was written, under its own LSN."""
    frames = [Frame(Codec.REMOTE_WRITE_1, Encoding.SNAPPY, Source.HTTP, 5, body) for body in bodies]
    data = bytearray(segment_of(frames))
    for at, bit in flips:
        data[HEADER_BYTES + at % (len(data) - HEADER_BYTES)] ^= 1 << bit
    path = tmp_path_factory.mktemp("flips") / "a.journal"
    path.write_bytes(data)
    report = RecoveryReport()
    read = list(read_segment(path, report))
    assert all(entry.frame == frames[entry.lsn - 1] for entry in read)
    assert [entry.lsn for entry in read] == sorted({entry.lsn for entry in read})
    assert len(read) + report.rot_frames + len(flips) >= len(frames)
