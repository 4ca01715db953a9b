"""Bodies of lines made up, and their decoders compared with the twins of plain Python."""

import random
from typing import Any

from nissa._fast.batch import Batch
from nissa._fast.exposition import decode_exposition
from nissa._fast.graphite import decode_graphite
from nissa._fast.influx import decode_influx
from nissa._fast.series import SeriesIndex
from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.codec.statsd import StatsdAggregate, StatsdLimits
from nissa.model.errors import Malformed
from oracle import exposition, graphite, influx
from oracle.statsd import Labels, Twin

SECRET = bytes(range(32))
INFLUX = 14
EXPOSITION = 15
STATSD = 16
GRAPHITE = 17
CODECS = (INFLUX, EXPOSITION, STATSD, GRAPHITE)
NOW_MS = 1_758_000_000_777
OLDEST_MS, NEWEST_MS = -(2**63), 2**63 - 1
OPEN = {"minute": 1, "admit_max": 1 << 40}
WORDS = ("cpu", "mem", "host", "a", "b", "ü", "x\\ y", "c\\,d", "e\\=f", "\\", "")
VALUES = (
    "1",
    "-2.5",
    "3i",
    "4u",
    "1e9",
    ".5",
    "t",
    "False",
    '"text"',
    '"a \\" b"',
    "nan",
    "1.5i",
    "0.1234567890123456789",
)
SERIES = ("up", 'up{a="1"}', 'up{a="x\\"y",b="2",}', '{"my.name","a.b"="c"}', "up{}", 'up {a="}#{"}', 'up{a="1"')
NUMBERS = ("1", "-2.5", "NaN", "+Inf", "-inf", "1e9", ".5", "0.1234567890123456789", "1e400", "x")
ENDS = ("", " 1758000000777", " 1758000000.777", " 1.758e9", ' # {t="1"} 2', ' # {t="1"} 2 3.5', " x", " -1")
COMMENTS = ("# HELP up It is \\n up", "# TYPE up counter", '# TYPE "n.m" gauge', "# UNIT up s", "# EOF", "#", "# TYPE")


def a_body(codec: int, rng: random.Random) -> bytes:
    """Some lines, most of them sound."""
    line = {INFLUX: _influx_line, EXPOSITION: _exposition_line, STATSD: _statsd_line, GRAPHITE: _graphite_line}[codec]
    text = "\n".join(line(rng) for _ in range(rng.randrange(1, 6)))
    return (text + rng.choice(("", "\n# EOF", "\n# EOF\n")) if codec == EXPOSITION else text).encode()


def _exposition_line(rng: random.Random) -> str:
    if rng.randrange(3) == 0:
        return rng.choice(COMMENTS)
    return rng.choice(SERIES) + " " + rng.choice(NUMBERS) + rng.choice(ENDS)


def _influx_line(rng: random.Random) -> str:
    tags = "".join(f",{rng.choice(WORDS)}={rng.choice(WORDS)}" for _ in range(rng.randrange(3)))
    fields = ",".join(f"{rng.choice(WORDS)}={rng.choice(VALUES)}" for _ in range(rng.randrange(1, 4)))
    stamp = rng.choice(("", " 1758000000777000000", " 1758000000777", " 1", " -1"))
    return rng.choice(WORDS) + tags + " " + fields + stamp


def _graphite_line(rng: random.Random) -> str:
    tags = "".join(f";{rng.choice(WORDS)}={rng.choice(WORDS)}" for _ in range(rng.randrange(3)))
    stamp = rng.choice(("", " 1758000000", " 1758000000.25", " -1", " 1e3", "\r"))
    return f"{rng.choice(WORDS)}.x{tags} {rng.choice(VALUES)}{stamp}"


def _statsd_line(rng: random.Random) -> str:
    tags = ",".join(f"{rng.choice(WORDS)}:{rng.choice(WORDS)}" for _ in range(rng.randrange(3)))
    values = ":".join(rng.choice(VALUES) for _ in range(rng.randrange(1, 3)))
    rate = rng.choice(("", "|@0.1", "|@1", "|@x", "|c:id", "|T1758000000"))
    return f"{rng.choice(WORDS)}:{values}|{rng.choice(('c', 'g', 'ms', 'h', 's', 'x'))}{rate}|#{tags}"


def _compare_statsd(body: bytes) -> str:
    found, twin = StatsdAggregate(SECRET, StatsdLimits(), (0.5,), 1, 0), Twin()
    found.add(body)
    twin.add(body)
    exact, _ = twin.flush((0.5,))
    rows: dict[tuple[str, Labels], float] = {}
    for data in found.flush(1):
        for series in WriteRequest.FromString(data).timeseries:
            labels = {label.name: label.value for label in series.labels}
            rows[labels.pop("__name__"), tuple(labels.items())] = series.samples[0].value
    different = {key: (value, rows.get(key)) for key, value in exact.items() if rows.get(key) != value}
    if different or found.facts()["lines_refused"] != twin.refused:
        return f"twin and aggregate {different}, refused {twin.refused} and {found.facts()['lines_refused']}"
    return ""


def compare(body: bytes, codec: int) -> str:
    """The difference between a decoder and its twin on one body, in words; empty for none."""
    if codec == STATSD:
        return _compare_statsd(body)
    if codec == EXPOSITION:
        return _compare_exposition(body, openmetrics=False) or _compare_exposition(body, openmetrics=True)
    return _compare_lines(body, codec)


def _compare_lines(body: bytes, codec: int) -> str:
    index, batch = SeriesIndex(SECRET, 1_000_000, 256, 1 << 20, 1 << 20), Batch()
    terms = {"oldest_ms": OLDEST_MS, "newest_ms": NEWEST_MS, "now_ms": NOW_MS, **OPEN}
    if codec == INFLUX:
        wanted = influx.expect(body, 1, NOW_MS, OLDEST_MS, NEWEST_MS)
        decode_influx(body, index, batch, unit_ns=1, **terms)
    else:
        wanted = graphite.expect(body, NOW_MS, OLDEST_MS, NEWEST_MS)
        decode_graphite(body, index, batch, **terms)
    return _difference(rows_of(index, batch), batch.refused, list(wanted.rows), wanted.refused)


def _compare_exposition(body: bytes, openmetrics: bool) -> str:
    index, batch = SeriesIndex(SECRET, 1_000_000, 256, 1 << 20, 1 << 20), Batch()
    wanted = exposition.expect(body, openmetrics, NOW_MS, OLDEST_MS, NEWEST_MS)
    terms = {"oldest_ms": OLDEST_MS, "newest_ms": NEWEST_MS, "now_ms": NOW_MS, **OPEN}
    try:
        decode_exposition(body, index, batch, openmetrics=openmetrics, **terms)
    except Malformed as error:
        return "" if wanted.cut else f"decoder {error}, twin {wanted}"
    found = [(labels, ts_ms, repr(value)) for labels, ts_ms, value in rows_of(index, batch)]
    rows = [(labels, ts_ms, repr(value)) for labels, ts_ms, value in wanted.rows]
    return _difference(found, batch.refused, rows, wanted.refused)


def rows_of(index: SeriesIndex, batch: Batch) -> list[Any]:
    """(labels, ts_ms, value) of each row."""
    series, ts_ms, value = (column.tolist() for column in batch.columns())
    return [(tuple(index.labels(one)), ts, number) for one, ts, number in zip(series, ts_ms, value, strict=True)]


def _difference(found: list[Any], refused: dict[str, int], rows: list[Any], twin_refused: dict[str, int]) -> str:
    if (found, refused) == (rows, twin_refused):
        return ""
    return f"decoder {found} {refused}, twin {rows} {twin_refused}"
