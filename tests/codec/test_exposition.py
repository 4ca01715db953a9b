"""Exposition formats: compared with the twin of plain Python and with prometheus_client's parsers."""

import math
import random
import struct
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import exposition as written_as_text
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics import exposition as written_as_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.samples import Timestamp

from nissa._fast.context import set_context
from nissa.codec.exposition import CODECS, decode, is_openmetrics
from nissa.model.context import Context
from nissa.model.decoded import NOTHING_ELSE, Window
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle import exposition
from oracle.bodies import Rig

NOW_MS = 1_758_000_000_777
WINDOW = Window(1, 1 << 40, NOW_MS - 3_600_000, NOW_MS + 600_000)
GOLDENS = Path(__file__).parents[1] / "goldens"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
STALE_BITS = 0x7FF0000000000002
NAN_BITS = 0x7FF8000000000001
PIECES = (
    *("up", "http_requests_total", "node:cpu", "9lives", "ü", "a.b", "_", "#", "# ", " ", "  ", "\t", "{", "}", "{}"),
    *('{code="200"}', '{a="x", b="y",}', '{a="x" b="y"}', '{ a = "x" }', '{"my.name","x.y"="z"}', '{"n"}', '{,a="b"}'),
    *('{a="q\\"q\\\\q\\nq\\x"}', '{a="open', '{a="}{#"}', '{a=""}', '{a="1",a="2"}', '{="x"}', '{""="x"}', '{"a","b"}'),
    *('{__name__="n"}', '{1a="x"}', '{a:b="x"}', '{a="\\', "=", ",", '"', "\\", "1", "-2.5", "+3e-2", "NaN", "-nan"),
    *("+Inf", "-inf", "Infinity", "1e400", "0x10", "1_0", ".5", "5.", ".", "-", "1e", "0.30000000000000004", "\r"),
    *("1758000000123", "1758000000.5", "1.7580000005e9", "1.758e9", "-1", "1e300", "99999999999999999999", "0", "1.5"),
    *(
        ' # {trace_id="a}b"} 1',
        " # {} 0.5 1758000000.1",
        " # {",
        " # {a} x",
        "# HELP up It is\\nup\\\\ \\q",
        "# TYPE up gauge",
    ),
    *(
        "# TYPE up what",
        "# HELP",
        "# TYPE 9 gauge",
        '# HELP "my.name" "dotted"',
        "# UNIT up seconds",
        "# EOF",
        "#EOF",
        "# EOF x",
    ),
)
LINES = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
WHOLE = ('up{job="a"} 1', "# TYPE up counter", "up 2 1758000000123", 'x_total 3 # {t="1"} 4', "# EOF", "")
BODIES = st.lists(LINES | st.sampled_from(WHOLE), max_size=6).map("\n".join)


def frame_of(body: bytes, **parameters: str) -> Frame:
    encoded = Context(parameters=parameters).encode()
    return Frame(Codec.EXPOSITION, Encoding.IDENTITY, Source.HTTP, NOW_MS, body, context=encoded)


def rows_of(rig: Rig) -> list[tuple[tuple[tuple[str, str], ...], int, int]]:
    """(labels, ts_ms, bits of the value) of the batch."""
    series, ts_ms, value = (column.tolist() for column in rig.batch.columns())
    return [(tuple(rig.index.labels(one)), ts, bits(v)) for one, ts, v in zip(series, ts_ms, value, strict=True)]


def bits(value: float) -> int:
    """Bits of a value; those of Prometheus for a NaN of Python."""
    number = int(struct.unpack("<Q", struct.pack("<d", value))[0])
    return NAN_BITS if math.isnan(value) and number != STALE_BITS else number


def compare(rig: Rig, body: bytes, content_type: str = "", window: Window = WINDOW) -> exposition.Answer:
    """Decode twice, with new series and with known ones; both results must equal the twin's."""
    wanted = exposition.expect(body, bool(content_type), NOW_MS, window.oldest_ms, window.newest_ms)
    frame = frame_of(body, content_type=content_type)
    for first in (True, False):
        if wanted.cut:
            with pytest.raises(Malformed, match="the last line is not # EOF"):
                decode(frame, body, rig.index, rig.batch, window)
            assert len(rig.batch) == 0
            continue
        decoded = decode(frame, body, rig.index, rig.batch, window)
        assert rows_of(rig) == [(labels, ts, bits(v)) for labels, ts, v in wanted.rows]
        assert (rig.batch.refused, rig.batch.refused_rows) == (wanted.refused, wanted.refused_rows)
        assert rig.batch.rows_received == len(wanted.rows) + sum(wanted.refused_rows.values())
        assert rig.batch.exemplars == wanted.exemplars
        assert [(fault.line, fault.reason) for fault in decoded.lines] == wanted.lines[:64]
        described = {each.name: (each.type, each.help, each.unit) for each in decoded.metadata}
        if first and rig.batch.missed:
            assert described == wanted.families
        elif not first:
            assert described == {}
    return wanted


@pytest.mark.parametrize(
    ("line", "series", "value"),
    [
        (b"up 1", [("__name__", "up")], 1.0),
        (b" \tup \t 1 ", [("__name__", "up")], 1.0),
        (b'up{b="2",a="1",} -1.5e3', [("__name__", "up"), ("a", "1"), ("b", "2")], -1500.0),
        (b'up{a="1"}+Inf', [("__name__", "up"), ("a", "1")], math.inf),
        (b'up { a = "1" } NaN', [("__name__", "up"), ("a", "1")], math.nan),
        (b'up{a="\\\\ \\" \\n \\x {,}"} 1', [("__name__", "up"), ("a", '\\ " \n \\x {,}')], 1.0),
        (b'{"my.name","a.b"="c"} 1', [("__name__", "my.name"), ("a.b", "c")], 1.0),
        (b'{a="b","my\\"name"} 1', [("__name__", 'my"name'), ("a", "b")], 1.0),
        (b'up{a="1",b=""} 0.30000000000000004', [("__name__", "up"), ("a", "1")], 0.1 + 0.2),
    ],
)
@pytest.mark.parametrize("content_type", ["", OPENMETRICS])
def test_lines(line: bytes, series: list[tuple[str, str]], value: float, content_type: str) -> None:
    """Names and labels, plain and in quotes, with their escapes, in both formats."""
    wanted = compare(Rig(), line + b"\n# EOF\n", content_type)
    assert [(labels, bits(number)) for labels, _, number in wanted.rows] == [(tuple(series), bits(value))]


@pytest.mark.parametrize(
    ("name", "content_type", "size"),
    [("node-exporter.txt", "", 507), ("exposition.txt", "", 20), ("openmetrics.txt", OPENMETRICS, 29)],
)
def test_goldens(name: str, content_type: str, size: int) -> None:
    """Pages of a node_exporter and of prometheus_client, and the examples of the specifications."""
    body = (GOLDENS / name).read_bytes()
    wanted = compare(Rig(), body, content_type, Window(1, 1 << 40, -(2**63), 2**63 - 1))
    assert (len(wanted.rows), wanted.refused) == (size, {})
    assert ours(wanted) == theirs(body.decode(), content_type)


def ours(answer: exposition.Answer) -> list[tuple[exposition.Labels, int, int]]:
    """Rows of an answer, sorted."""
    return sorted((labels, ts_ms, bits(value)) for labels, ts_ms, value in answer.rows)


def theirs(text: str, content_type: str) -> list[tuple[exposition.Labels, int, int]]:
    """The same, as prometheus_client reads it; labels without a value are none."""
    families = read_openmetrics(text) if content_type else read_text(text)
    return sorted(
        (
            tuple(sorted((n, v) for n, v in {"__name__": sample.name, **sample.labels}.items() if v)),
            NOW_MS if sample.timestamp is None else milliseconds(sample.timestamp),
            bits(sample.value),
        )
        for family in families
        for sample in family.samples
    )


def milliseconds(timestamp: Any) -> int:
    """A timestamp of prometheus_client, rounded down where it is exact and to the nearest where it is not."""
    if isinstance(timestamp, Timestamp):
        return int(timestamp.sec * 1000 + timestamp.nsec // 1_000_000)
    return round(timestamp * 1000)


# Without colons: the OpenMetrics writer of prometheus_client replaces them in names of samples, and only there.
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(lambda name: "__" not in name)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=8)
NUMBERS = st.floats(width=64) | st.integers(-(2**53), 2**53).map(float)
STAMPS = st.none() | st.integers(0, 2**40)


@st.composite
def families(draw: st.DrawFn) -> list[Metric]:
    """Metrics as a program offers them, each name once."""
    found: list[Metric] = []
    for name in draw(st.lists(NAMES, max_size=4, unique_by=str.lower)):
        keys = draw(st.lists(st.sampled_from(("a", "b", "c_d")), max_size=3, unique=True))
        rows = draw(st.lists(st.tuples(*(TEXTS for _ in keys)), max_size=3, unique=True)) if keys else [()]
        kind = draw(st.sampled_from((CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily)))
        metric = kind(f"m{len(found)}_{name}", draw(TEXTS), labels=keys)
        for row in rows:
            if isinstance(metric, HistogramMetricFamily):
                metric.add_metric(row, [("0.5", 1.0), ("+Inf", 3.0)], 4.5)
            else:
                stamp = draw(STAMPS)
                value = draw(NUMBERS) if isinstance(metric, GaugeMetricFamily) else abs(draw(st.integers(0, 2**53)))
                metric.add_metric(row, value, timestamp=None if stamp is None else stamp / 1000)
        found.append(metric)
    return found


class Offered:
    """A registry of ready metrics."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        return iter(self._metrics)


@pytest.mark.long
@given(families(), st.sampled_from(["", OPENMETRICS]))
def test_what_prometheus_client_writes(metrics: list[Metric], content_type: str) -> None:
    """Whatever prometheus_client writes is read as its own parsers read it, in both formats."""
    write = written_as_openmetrics.generate_latest if content_type else written_as_text.generate_latest
    body = write(Offered(metrics))  # type: ignore[arg-type] # only collect is called
    wanted = compare(Rig(), body, content_type, Window(1, 1 << 40, -(2**63), 2**63 - 1))
    assert wanted.refused == {}
    assert ours(wanted) == theirs(body.decode(), content_type)


@given(BODIES, st.sampled_from(["", OPENMETRICS]))
def test_made_up_lines(text: str, content_type: str) -> None:
    """Any order of pieces is read, or refused line by line, as the twin has it."""
    compare(Rig(), text.encode(), content_type)


@given(st.binary(max_size=60), st.integers(0, 60), st.sampled_from(["", OPENMETRICS]))
def test_any_bytes(data: bytes, place: int, content_type: str) -> None:
    """Bytes of any kind inside lines."""
    whole = b'up{host="a",b="c"} 1.5 1758000000.5 # {t="1"} 2\n' if content_type else b'up{host="a"} 1 1758000000123\n'
    compare(Rig(), whole + whole[:place] + data + whole[place:] + whole + b"# EOF", content_type)


@pytest.mark.parametrize(("name", "content_type"), [("exposition.txt", ""), ("openmetrics.txt", OPENMETRICS)])
def test_changed_bytes(name: str, content_type: str) -> None:
    """Bytes of a golden changed at random places."""
    golden = (GOLDENS / name).read_bytes()
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print("seed", seed)
    for _ in range(300):
        changed = bytearray(golden)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(len(changed) - 6)] = rng.choice(b'\\,={} \n"#ti1.-e\r\0\xff')
        compare(Rig(), bytes(changed), content_type)


@given(st.floats())
def test_numbers(value: float) -> None:
    """Every number is read as Python reads it, in all its digits, in few and in many."""
    for text in (repr(value), f"{value:.3e}", f"{value:.25f}", f"{value:.17e}"):
        compare(Rig(), b"m " + text.encode())


@given(st.decimals(-(10**17), 10**17, allow_nan=False, places=6), st.integers(-3, 3))
def test_times(seconds: Decimal, shift: int) -> None:
    """Timestamps of OpenMetrics are exact to the millisecond, rounded down, however they are written."""
    anytime = Window(1, 1 << 40, -(2**63), 2**63 - 1)
    for text in (f"{seconds}", f"{seconds.scaleb(-shift)}e{shift}", f"{seconds:.3e}", f"{seconds:.12f}"):
        compare(Rig(), f"m 1 {text}\n# EOF".encode(), OPENMETRICS, anytime)


def test_parameters() -> None:
    """The context gives the time of lines without one, passes over timestamps, and makes staleness markers."""
    rig = Rig()
    body = b"a 1\nb 2 1758000000123\n"

    def rows(**parameters: str) -> list[tuple[str, int, int]]:
        decode(frame_of(body, **parameters), body, rig.index, rig.batch, WINDOW)
        return [(labels[0][1], ts_ms, value) for labels, ts_ms, value in rows_of(rig)]

    one, two = bits(1.0), bits(2.0)
    assert CODECS == (Codec.EXPOSITION,)
    assert rows() == [("a", NOW_MS, one), ("b", 1758000000123, two)]
    assert rows(timestamp="1758000000500") == [("a", 1758000000500, one), ("b", 1758000000123, two)]
    assert rows(timestamp="1758000000500", honor_timestamps="false") == [
        ("a", 1758000000500, one),
        ("b", 1758000000500, two),
    ]
    assert rows(stale="true") == [("a", NOW_MS, STALE_BITS), ("b", 1758000000123, STALE_BITS)]
    for stamp in ("soon", "-1", "9" * 20):
        with pytest.raises(Malformed, match="timestamp"):
            rows(timestamp=stamp)
    assert is_openmetrics("Application/OpenMetrics-Text ; version=1.0.0")
    assert not is_openmetrics("text/plain; version=0.0.4")


def test_terms() -> None:
    """Labels of the context are added, the limit of series holds, and faults name line, time and text."""
    rig = Rig()
    body = b'cpu{job="own"} 1\ncpu 1\n\nmem 1\ncpu 1 5\nnonsense\n<html>\ncpu{a="b} 1\n'
    window = Window(1, 2, WINDOW.oldest_ms, WINDOW.newest_ms)
    set_context(rig.batch, [("job", "target", "rename")])
    lines = decode(frame_of(body), body, rig.index, rig.batch, window).lines
    assert rig.labels() == [
        [("__name__", "cpu"), ("exported_job", "own"), ("job", "target")],
        [("__name__", "cpu"), ("job", "target")],
    ]
    assert [(fault.line, fault.reason, fault.ts_ms, fault.words, fault.text) for fault in lines] == [
        (4, "series_limit", None, "", "mem 1"),
        (5, "too_old", 5, "", "cpu 1 5"),
        (6, "record_malformed", None, "a line ends before its value", "nonsense"),
        (7, "record_malformed", None, "a line ends before its value", "<html>"),
        (8, "record_malformed", None, "a quoted string has no end", 'cpu{a="b} 1'),
    ]
    assert rig.batch.examples["series_limit"].series == 'mem{job="target"}'
    assert decode(frame_of(b"cpu 2"), b"cpu 2", rig.index, rig.batch, WINDOW) is NOTHING_ELSE


def test_descriptions() -> None:
    """A family is described with its first series, and again when its description or its series change."""
    rig = Rig()

    def described(text: str) -> list[tuple[str, str, str]]:
        found = decode(frame_of(text.encode()), text.encode(), rig.index, rig.batch, WINDOW).metadata
        return [(each.name, each.type, each.help) for each in found]

    page = "# HELP a One\\nline \\\\ \\x\n# TYPE a gauge\na 1\n# TYPE b counter\nb 2\n# TYPE empty gauge\n"
    assert described(page) == [("a", "gauge", "One\nline \\ \\x"), ("b", "counter", "")]
    assert described(page) == []
    assert described(page.replace("b counter", "b gauge")) == [("b", "gauge", "")]
    assert described(page + "empty 3\n") == [("empty", "gauge", "")]
    assert described('# HELP "a\\"b" x\n{"a\\"b"} 1\n') == [('a"b', "unknown", "x")]


def test_bounds() -> None:
    """64 faults are named, all are counted; a frame over a limit is refused whole."""
    rig = Rig()
    body = b"x\n" * 1_000
    assert len(decode(frame_of(body), body, rig.index, rig.batch, WINDOW).lines) == 64
    assert rig.batch.refused == {"record_malformed": 1_000}
    small = Rig(rows_max=3)
    with pytest.raises(TooLarge, match="frame_samples_max"):
        decode(frame_of(b"a 1\nb 1\nc 1\nd 1"), b"a 1\nb 1\nc 1\nd 1", small.index, small.batch, WINDOW)
    few = Rig(records_max=2)
    notes = b"# TYPE a gauge\n# TYPE b gauge\n# TYPE c gauge\n"
    with pytest.raises(TooLarge, match="frame_series_max"):
        decode(frame_of(notes), notes, few.index, few.batch, WINDOW)
    long_value = b'a{b="' + b'\\"' * 5_000 + b'"} 1'
    decode(frame_of(long_value), long_value, rig.index, rig.batch, WINDOW)
    assert rig.batch.refused == {"label_too_long": 1}
