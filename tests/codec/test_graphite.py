"""Graphite plaintext: compared with the twin of plain Python, on lines that are made up, cut and changed."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa._fast.context import set_context
from nissa.codec.graphite import CODECS, decode
from nissa.model.decoded import NOTHING_ELSE, Window
from nissa.model.errors import TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle import graphite
from oracle.bodies import Rig
from oracle.influx import Answer

NOW_MS = 1_758_000_000_777
WINDOW = Window(1, 1 << 40, NOW_MS - 3_600_000, NOW_MS + 600_000)
GOLDEN = Path(__file__).parents[1] / "goldens" / "graphite.txt"
PIECES = (
    *("a.b.c", "x", "ü.日本", "a..b", ".", ";", "=", " ", "  ", "\t", "\r", "\0", "-", "a#b", "__name__"),
    *(";dc=x", ";dc=y", ";host=a=b", ";e=", ";=v", ";k", ";;", ";__name__=x", ";name=y"),
    *(" 1", " -2.5", " 1e3", " .5", " 5.", " +7", " nan", " inf", " 1e999", " 0x1", " 0.30000000000000004"),
    *(" 1758000000", " 1758000000.25", " 1758000000.9999", " -1", " -1.5", " -1.", " 1", " 99999999999999999999"),
    *(" 9223372036854774", " 9223372036854775", " 1758000000e0", " N", " extra", " 1758000900", " 1757990000"),
)
LINES = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
BODIES = st.lists(LINES | st.sampled_from(("a.b;dc=x 1 1758000000", "a.b 2", "")), max_size=6).map("\n".join)


def frame_of(body: bytes) -> Frame:
    return Frame(Codec.GRAPHITE, Encoding.IDENTITY, Source.GRAPHITE, NOW_MS, body)


def compare(rig: Rig, body: bytes, window: Window = WINDOW) -> Answer:
    """Decode twice, with new series and with known ones; both results must equal the twin's."""
    wanted = graphite.expect(body, NOW_MS, window.oldest_ms, window.newest_ms)
    for _ in range(2):
        lines = decode(frame_of(body), body, rig.index, rig.batch, window).lines
        series, ts_ms, value = (column.tolist() for column in rig.batch.columns())
        rows = [(tuple(rig.index.labels(one)), ts, v) for one, ts, v in zip(series, ts_ms, value, strict=True)]
        assert rows == wanted.rows
        assert rig.batch.refused == rig.batch.refused_rows == wanted.refused
        assert rig.batch.rows_received == len(rows) + sum(wanted.refused.values())
        assert [(fault.line, fault.reason) for fault in lines] == wanted.lines[:64]
        assert all(body[: fault.offset].count(b"\n") + 1 == fault.line for fault in lines)
    return wanted


@pytest.mark.parametrize(
    ("line", "labels", "ts_ms", "value"),
    [
        (b"a.b.c 1.5 1758000000", [("__name__", "a.b.c")], 1_758_000_000_000, 1.5),
        (b"a.b;dc=x;host=a=b -2", [("__name__", "a.b"), ("dc", "x"), ("host", "a=b")], NOW_MS, -2.0),
        (b"a 1e3 -1\r\n", [("__name__", "a")], NOW_MS, 1000.0),
        (b"a\t1  1758000000.2509 ", [("__name__", "a")], 1_758_000_000_250, 1.0),
        (b"a;dc= 1", [("__name__", "a")], NOW_MS, 1.0),
    ],
)
def test_lines(line: bytes, labels: list[tuple[str, str]], ts_ms: int, value: float) -> None:
    """The path is the name, tags are labels, seconds become milliseconds; without a time it is that of receipt."""
    assert compare(Rig(), line).rows == [(tuple(labels), ts_ms, value)]


def test_golden() -> None:
    """Lines as collectd, carbon's agents and scripts write them."""
    rig = Rig()
    compare(rig, GOLDEN.read_bytes())
    assert (len(rig.batch), rig.batch.refused, rig.index.series_count) == (13, {}, 12)


@given(BODIES)
def test_made_up_lines(text: str) -> None:
    """Any order of pieces is read, or refused line by line, as the twin has it."""
    compare(Rig(), text.encode())


@given(st.binary(max_size=60), st.integers(0, 30))
def test_any_bytes(data: bytes, place: int) -> None:
    """Bytes of any kind inside lines."""
    whole = b"a.b;dc=x 1.25 1758000000\n"
    compare(Rig(), whole + whole[:place] + data + whole[place:] + whole)


def test_changed_bytes() -> None:
    """Bytes of the golden changed at random places."""
    golden = GOLDEN.read_bytes()
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print("seed", seed)
    rig = Rig()
    for _ in range(300):
        changed = bytearray(golden)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(len(changed))] = rng.choice(b";= \t\n.1-e\r\0\xff")
        compare(rig, bytes(changed))


def test_terms() -> None:
    """Labels of the context are added, the limit of series holds, and faults name line, time and text."""
    rig = Rig()
    assert CODECS == (Codec.GRAPHITE,)
    body = b"a;dc=own 1\na 1\n\nb 1\na 1 5\nnonsense\n"
    set_context(rig.batch, [("dc", "d", "keep")])
    lines = decode(frame_of(body), body, rig.index, rig.batch, Window(1, 2, WINDOW.oldest_ms, WINDOW.newest_ms)).lines
    assert rig.labels() == [[("__name__", "a"), ("dc", "own")], [("__name__", "a"), ("dc", "d")]]
    assert [(fault.line, fault.reason, fault.ts_ms, fault.text) for fault in lines] == [
        (4, "series_limit", None, "b 1"),
        (5, "too_old", 5000, "a 1 5"),
        (6, "record_malformed", None, "nonsense"),
    ]
    assert lines[2].words == "a line ends before its value"
    assert decode(frame_of(b"a 2"), b"a 2", Rig().index, rig.batch, WINDOW) is NOTHING_ELSE


def test_bounds() -> None:
    """64 faults are named, all are counted; a frame over a limit is refused whole."""
    rig = Rig()
    body = b"x\n" * 1_000
    assert len(decode(frame_of(body), body, rig.index, rig.batch, WINDOW).lines) == 64
    assert rig.batch.refused == {"record_malformed": 1_000}
    small = Rig(records_max=3)
    with pytest.raises(TooLarge, match="frame_series_max"):
        decode(frame_of(b"a 1\n" * 4), b"a 1\n" * 4, small.index, small.batch, WINDOW)
