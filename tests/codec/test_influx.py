"""InfluxDB lines: compared with the twin of plain Python, on lines that are made up, cut and changed."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa._fast.context import set_context
from nissa.codec.influx import CODECS, UNITS_NS, decode
from nissa.model.context import Context
from nissa.model.decoded import NOTHING_ELSE, Window
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle import influx
from oracle.bodies import Rig

NOW_MS = 1_758_000_000_777
WINDOW = Window(1, 1 << 40, NOW_MS - 3_600_000, NOW_MS + 600_000)
GOLDEN = Path(__file__).parents[1] / "goldens" / "influx.txt"
PIECES = (
    *("cpu", "weather", "mem\\ free", "a\\,b", "a\\=b", "tr\\", "\\", "ü", "日本", "_", "#x", "=", ",", " ", "  "),
    *(",host=a", ",host=b", ",dc=x\\ y", ",e=", ",=v", ",host", ",k=v=w", ",__name__=x", ",host=a\\,b", ",h=tr\\"),
    *("usage=1", "idle=2.5", "n=-3i", "u=7u", "f=1e3", "x=.5", "y=5.", "z=+1", "big=18446744073709551615u"),
    *("big=9223372036854775808i", "ok=t", "ok=FALSE", "ok=tRUE", 's="text"', 's="a \\" b, c=1 \\\\"', 's="two\nlines"'),
    *('s="open', "bad=", "bad=x", "bad=1x", "bad=1.5i", "bad=NaN", "bad=1e400", "d=0.30000000000000004", "=1"),
    *("1758000000000000000", "1758000000", "-1", "1.5", "99999999999999999999", "0", "1757999999999999999", "\r"),
)
LINES = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
BODIES = st.lists(LINES | st.sampled_from(("cpu usage=1,idle=2 1758000000000000000", "# note", "")), max_size=6).map(
    "\n".join
)


def frame_of(body: bytes, precision: str = "ns") -> Frame:
    encoded = Context(parameters={} if precision == "ns" else {"precision": precision}).encode()
    return Frame(Codec.INFLUX, Encoding.IDENTITY, Source.HTTP, NOW_MS, body, context=encoded)


def compare(rig: Rig, body: bytes, precision: str = "ns", window: Window = WINDOW) -> influx.Answer:
    """Decode twice, with new series and with known ones; both results must equal the twin's."""
    wanted = influx.expect(body, UNITS_NS[precision], NOW_MS, window.oldest_ms, window.newest_ms)
    for _ in range(2):
        lines = decode(frame_of(body, precision), body, rig.index, rig.batch, window).lines
        series, ts_ms, value = (column.tolist() for column in rig.batch.columns())
        rows = [(tuple(rig.index.labels(one)), ts, v) for one, ts, v in zip(series, ts_ms, value, strict=True)]
        assert rows == wanted.rows
        assert rig.batch.refused == rig.batch.refused_rows == wanted.refused
        assert rig.batch.rows_received == len(rows) + sum(wanted.refused.values())
        assert sorted({(fault.line, fault.reason) for fault in lines}) == sorted(set(wanted.lines))
        assert all(body[: fault.offset].count(b"\n") + 1 == fault.line for fault in lines)
    return wanted


@pytest.mark.parametrize(
    ("line", "series", "value"),
    [
        (b"cpu,host=a usage=1.5", [("__name__", "cpu_usage"), ("host", "a")], 1.5),
        (b"cpu usage=-3i 1758000000000000000", [("__name__", "cpu_usage")], -3.0),
        (b"cpu usage=18446744073709551615u", [("__name__", "cpu_usage")], 18446744073709551615.0),
        (b"cpu ok=t", [("__name__", "cpu_ok")], 1.0),
        (b"cpu ok=False", [("__name__", "cpu_ok")], 0.0),
        (b"cpu,host= usage=1", None, 0.0),
        (b"my\\ cpu,a\\ b=c\\,d\\=e x\\=y=2", [("__name__", "my cpu_x=y"), ("a b", "c,d=e")], 2.0),
        (b"a\\=b,t=\\x v=1", [("__name__", "a\\=b_v"), ("t", "\\x")], 1.0),
        (b"cpu,b=2,a=1 usage=0.30000000000000004\r\n", [("__name__", "cpu_usage"), ("a", "1"), ("b", "2")], 0.1 + 0.2),
    ],
)
def test_lines(line: bytes, series: list[tuple[str, str]] | None, value: float) -> None:
    """Measurement and field are joined by an underscore, tags are labels, escapes are undone."""
    rig = Rig()
    wanted = compare(rig, line)
    assert wanted.rows == ([] if series is None else [(tuple(series), wanted.rows[0][1], value)])


def test_golden() -> None:
    """Bodies as telegraf and the clients of InfluxDB write them."""
    rig = Rig()
    body = GOLDEN.read_bytes()
    compare(rig, body)
    assert (len(rig.batch), rig.batch.refused, rig.index.series_count) == (28, {"value_text": 3}, 25)


@given(BODIES, st.sampled_from(sorted(UNITS_NS)))
def test_made_up_lines(text: str, precision: str) -> None:
    """Any order of pieces is read, or refused line by line, as the twin has it."""
    compare(Rig(), text.encode(), precision)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes(data: bytes, place: int) -> None:
    """Bytes of any kind inside lines."""
    whole = b'cpu,host=a usage=1,idle=2i,s="x" 1758000000000000000\n'
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
            changed[rng.randrange(len(changed))] = rng.choice(b'\\,= \n"#ti1.-e\r\0\xff')
        compare(rig, bytes(changed), rng.choice(("ns", "auto", "ms")))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers(value: float) -> None:
    """Every number is read as Python reads it, in all its digits, in few and in many."""
    for text in (repr(value), f"{value:.3e}", f"{value:.25f}", f"{value:.17e}"):
        compare(Rig(), b"m v=" + text.encode())


@pytest.mark.parametrize(
    ("precision", "stamp"),
    [
        *(
            ("ns", "1758000000123456789"),
            ("us", "1758000000123456"),
            ("µ", "1758000000123456"),
            ("ms", "1758000000123"),
        ),
        *(("s", "1758000000"), ("m", "29300000"), ("h", "488333"), ("auto", "1758000000"), ("auto", "1758000000123")),
        *(("auto", "1758000000123456"), ("auto", "1758000000123456789"), ("ns", "-1"), ("h", "9223372036854775807")),
    ],
)
def test_precision(precision: str, stamp: str) -> None:
    """Timestamps become milliseconds, rounded down; one that does not fit 64 bits refuses its line."""
    open_window = Window(1, 1 << 40, -(2**63), 2**63 - 1)
    compare(Rig(), f"m v=1 {stamp}".encode(), precision, open_window)


def test_terms() -> None:
    """Labels of the context are added, the limit of series holds, and faults name line, time and text."""
    rig = Rig()
    assert CODECS == (Codec.INFLUX,)
    body = b"cpu,db=own v=1\ncpu v=1\n\nmem v=1\ncpu v=1 5\nnonsense\n"
    window = Window(1, 2, WINDOW.oldest_ms, WINDOW.newest_ms)
    set_context(rig.batch, [("db", "d", "keep")])
    lines = decode(frame_of(body), body, rig.index, rig.batch, window).lines
    assert rig.labels() == [[("__name__", "cpu_v"), ("db", "own")], [("__name__", "cpu_v"), ("db", "d")]]
    assert [(fault.line, fault.reason, fault.ts_ms, fault.text) for fault in lines] == [
        (4, "series_limit", None, "mem v=1"),
        (5, "too_old", 0, "cpu v=1 5"),
        (6, "record_malformed", None, "nonsense"),
    ]
    assert lines[2].words == "a line ends before its value"
    assert decode(frame_of(b"cpu v=2"), b"cpu v=2", Rig().index, rig.batch, WINDOW) is NOTHING_ELSE


def test_bounds() -> None:
    """64 faults are named, all are counted; a frame over a limit is refused whole; so is one of unknown precision."""
    rig = Rig()
    body = b"x\n" * 1_000
    assert len(decode(frame_of(body), body, rig.index, rig.batch, WINDOW).lines) == 64
    assert rig.batch.refused == {"record_malformed": 1_000}
    small = Rig(rows_max=3)
    with pytest.raises(TooLarge, match="frame_samples_max"):
        decode(frame_of(b"m a=1,b=2,c=3,d=4"), b"m a=1,b=2,c=3,d=4", small.index, small.batch, WINDOW)
    with pytest.raises(Malformed, match="precision 'week'"):
        decode(frame_of(b"m a=1", "week"), b"m a=1", rig.index, rig.batch, WINDOW)
