"""StatsD lines: compared with the twin of plain Python, over several flushes, on lines that are made up and changed."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa._fast.statsd import Meters
from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa.codec.statsd import StatsdAggregate, StatsdLimits
from nissa.model.columns import STALE_BITS
from oracle.statsd import Labels, Twin

SECRET = bytes(range(32))
QUANTILES = (0.5, 0.9, 1.0)
GOLDEN = Path(__file__).parents[1] / "goldens" / "statsd.txt"
PIECES = (
    *("a", "page.views", "x-y", "9lives", "a_total", "é", "\0", "_", ":", "|", "#", "@", ",", "\r", " ", "_e{1,1}:a|b"),
    *(
        ":1|c",
        ":2|g",
        ":-3|g",
        ":+4|g",
        ":5|ms",
        ":0.25|h",
        ":1e3|d",
        ":ann|s",
        ":b:c|s",
        ":-1|c",
        ":x|g",
        ":|c",
        ":1|",
    ),
    *(":1:2:3|c", ":1:2|g", ":1:+2|g", ":4:5:0|ms", ":1::2|h", ":1e999|g", ":1|q", ":0|ms", ":-7|h", ":1e-310|h"),
    *("|@0.1", "|@0.5", "|@0", "|@2", "|@x", "|#t:1", "|#t:2", "|#b:2,a:1", "|#a:1,b:2", "|#flag", "|#", "|#k:,t:1"),
    *("|#quantile:9", "|#__name__:z", "|#t:1,t:2", "|#ü:ü", "|c:7f3a", "|T1758000000", "|e:x", "|", "_sc|db|0"),
)
LINES = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
SOUND = ("a:1|c", "a:2|c|@0.5", "b:7|g", "b:+1|g", "t:12|ms|#r:x", "t:14:3|ms|@0.25|#r:x", "s:ann|s", "s:bob|s")
PACKETS = st.lists(LINES | st.sampled_from(SOUND), max_size=8).map("\n".join)

Rows = dict[tuple[str, Labels], list[tuple[int, float]]]


def aggregate(now_ms: int = 1_000, limits: StatsdLimits | None = None, idle_ttl_ms: int = 60_000) -> StatsdAggregate:
    return StatsdAggregate(SECRET, limits or StatsdLimits(1000, 10_000, 10_000, 10), QUANTILES, idle_ttl_ms, now_ms)


def flushed(found: StatsdAggregate, now_ms: int) -> Rows:
    """Samples by name and labels."""
    rows: Rows = {}
    for body in found.flush(now_ms):
        for series in WriteRequest.FromString(body).timeseries:
            labels = {label.name: label.value for label in series.labels}
            assert list(labels) == sorted(labels)
            name = labels.pop("__name__")
            samples = rows.setdefault((name, tuple(labels.items())), [])
            samples += [(sample.timestamp, sample.value) for sample in series.samples]
    return rows


def is_stale(value: float) -> bool:
    return bool(struct.unpack("<Q", struct.pack("<d", value))[0] == STALE_BITS)


def compare(*packets: bytes) -> None:
    """Every packet is an interval: cumulative values and quantiles after each must be what the twin says."""
    found, twin = aggregate(), Twin()
    for number, packet in enumerate(packets):
        found.add(packet)
        twin.add(packet)
        now_ms = 11_000 + 10_000 * number
        rows = flushed(found, now_ms)
        exact, near = twin.flush(QUANTILES)
        latest = {key: samples[-1][1] for key, samples in rows.items()}
        shown = {key: value for key, value in latest.items() if "quantile" in dict(key[1]) and key not in exact}
        assert {key: value for key, value in latest.items() if key not in shown} == exact
        assert {key for key, value in shown.items() if not is_stale(value)} == set(near)
        for key, value in near.items():
            assert shown[key] == pytest.approx(value, rel=0.011, abs=1e-300)
        assert all(at_ms == now_ms for samples in rows.values() for at_ms, _ in samples[-1:])
        facts = found.facts()
        assert (facts["lines"], facts["lines_refused"]) == (twin.lines, twin.refused)
        assert found.take_events() == twin.events[:10]
        twin.events = []


def test_golden() -> None:
    """Packets as clients of StatsD and DogStatsD write them."""
    packets = GOLDEN.read_bytes().split(b"\n\n")
    compare(*packets)
    found = aggregate()
    for packet in packets:
        found.add(packet)
    facts = found.facts()
    assert (facts["lines"], facts["lines_refused"], facts["meters"], len(found.take_events())) == (20, 0, 14, 2)


@given(PACKETS, PACKETS)
def test_made_up_lines(first: str, second: str) -> None:
    """Any order of pieces is added up, or refused, as the twin has it, also once heads are known."""
    compare(first.encode(), second.encode(), first.encode())


@given(st.binary(max_size=60), st.integers(0, 40))
def test_any_bytes(data: bytes, place: int) -> None:
    """Bytes of any kind inside lines."""
    whole = b"api.time:1.5:2.5|ms|@0.5|#route:/\nviews:1|c\n"
    compare(whole + whole[:place] + data + whole[place:] + whole)


def test_changed_bytes() -> None:
    """Bytes of the golden changed at random places."""
    golden = GOLDEN.read_bytes()
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print("seed", seed)
    for _ in range(100):
        changed = bytearray(golden)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(len(changed))] = rng.choice(b":|@#,+-1.ecgms\n\r\0\xff")
        compare(bytes(changed), golden)


def test_counters_begin_at_0_and_go_on() -> None:
    """The first flush of a counter has a sample of 0 at the start of the interval; sums grow over flushes."""
    found = aggregate(now_ms=5_000)
    found.add(b"views:3|c\napi:20|ms")
    rows = flushed(found, 15_000)
    assert rows["views_total", ()] == [(5_000, 0.0), (15_000, 3.0)]
    assert rows["api_count", ()] == [(5_000, 0.0), (15_000, 1.0)]
    assert rows["api_sum", ()] == [(5_000, 0.0), (15_000, 0.02)]
    found.add(b"views:4|c|@0.5")
    rows = flushed(found, 25_000)
    assert rows["views_total", ()] == [(25_000, 11.0)]
    assert is_stale(rows["api", (("quantile", "0.5"),)][0][1])
    rows = flushed(found, 35_000)
    assert ("api", (("quantile", "0.5"),)) not in rows
    assert rows["api_count", ()] == [(35_000, 1.0)]


def test_metadata_names_types() -> None:
    """Each name is described once, as it is exposed."""
    found = aggregate()
    found.add(b"v:1|c\nd:1|g\nu:x|s\nt:1|ms\nt:1|ms|#a:b")
    notes = [note for body in found.flush(11_000) for note in WriteRequest.FromString(body).metadata]
    assert {(note.metric_family_name, note.type) for note in notes} == {("v_total", 1), ("d", 2), ("u", 2), ("t", 5)}
    found.add(b"v:1|c")
    assert not any(WriteRequest.FromString(body).metadata for body in found.flush(21_000))


def test_idle_meters_end() -> None:
    """A meter without lines for the time to live ends with staleness markers, and begins anew from 0."""
    found = aggregate(now_ms=1_000, idle_ttl_ms=15_000)
    found.add(b"old:1|c\nkept:1|c\nt:1|ms")
    flushed(found, 11_000)
    found.add(b"kept:1|c")
    flushed(found, 21_000)
    rows = flushed(found, 27_000)
    assert is_stale(rows["old_total", ()][0][1])
    assert is_stale(rows["t_sum", ()][0][1])
    assert rows["kept_total", ()] == [(27_000, 2.0)]
    assert found.facts()["meters"] == 1
    found.add(b"old:5|c\nother:2|g")
    rows = flushed(found, 30_000)
    assert rows["old_total", ()] == [(27_000, 0.0), (30_000, 5.0)]
    assert rows["other", ()] == [(30_000, 2.0)]


def test_bounds() -> None:
    """Meters, buckets, members and events over their bounds are counted; known meters go on."""
    found = aggregate(limits=StatsdLimits(2, 3, 2, 1))
    found.add(b"a:1|c\nb:1|s\nc:1|c\na:1|c\nb:2|s\nb:3|s\n_e{1,1}:a|b\n_e{1,1}:c|d")
    facts = found.facts()
    assert (facts["lines_over_limit"], facts["values_unsketched"], facts["events_dropped"]) == (1, 1, 1)
    rows = flushed(found, 11_000)
    assert rows["a_total", ()][-1][1] == 2.0
    assert rows["b", ()] == [(11_000, 2.0)]
    found = aggregate(limits=StatsdLimits(2, 3, 2, 1))
    found.add(b"t:1:2:4:8:16|h")
    assert found.facts()["values_unsketched"] == 2
    assert flushed(found, 11_000)["t_count", ()][-1][1] == 5.0


def test_a_name_has_one_kind() -> None:
    """A line of another kind than the first of its name and tags is refused."""
    found = aggregate()
    found.add(b"a:1|c\na:1|g\na_total:2|c\na:1|g|#t:1")
    assert found.facts()["lines_conflicting"] == 1
    rows = flushed(found, 11_000)
    assert rows["a_total", ()][-1][1] == 3.0


def test_the_clock_may_stand_still() -> None:
    """A flush at the time of the last one, or before it, is a millisecond later."""
    found = aggregate(now_ms=1_000)
    found.add(b"a:1|c")
    assert flushed(found, 900)["a_total", ()] == [(1_000, 0.0), (1_001, 1.0)]


def test_meters_check_their_callers() -> None:
    """A meter is opened once, and a head gets a meter of its kind only."""
    meters = Meters(SECRET, 2)
    meters.open_meter(0, 1)
    with pytest.raises(IndexError):
        meters.open_meter(0, 1)
    with pytest.raises(IndexError):
        meters.add(b"a:1|c", lambda name, kind, tags: 0, lambda line: None)
    with pytest.raises(IndexError):
        meters.open_meter(2, 0)
    meters.close_meters(np.array([0], np.uint32))
    meters.open_meter(0, 0)
