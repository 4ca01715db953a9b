"""The remote write decoders against Google protobuf, and by hand where a message says something of its own."""

import os
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa._proto.remote_write_v2_pb2 import Request
from nissa.model.columns import Metadata
from nissa.model.errors import Malformed, TooLarge
from nissa.model.receipt import Example
from oracle.bodies import Rig, field, label, request_2, request_with, sample, series
from oracle.fuzz_remote_write import CLASSES, Harness, generate, run
from oracle.remote_write import STALE_BITS, float_of
from oracle.series import Limits
from oracle.wire import rearrange, varint

UP = [("__name__", "up")]
NOW_MS = 1_758_000_000_000
ONE = {"count_int": 1, "zero_count_int": 1}  # the smallest histogram that is sound and not empty


# ---- Against the twin ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_decoders_agree_with_google_protobuf() -> None:
    """15,000 generated, rearranged, damaged and cut messages of both versions: the twin says the same of each."""
    seed = 20_260_511
    print(f"seed {seed}")
    harness = run(15_000, seed)
    assert harness.accepted > 12_000
    assert harness.refused > 7_500


@pytest.mark.parametrize("version", [1, 2])
def test_decoders_agree_on_every_prefix_and_flipped_bit(version: int) -> None:
    """Each prefix of a message, and each message with one bit flipped."""
    rng = random.Random(version)
    harness = Harness(Limits())
    for _ in range(3):
        message = generate(version, rng)
        while not 60 < message.ByteSize() < 400:
            message = generate(version, rng)
        body = rearrange(CLASSES[version].DESCRIPTOR, message.SerializeToString(), rng)
        cut = [body[:end] for end in range(len(body))]
        flipped = [
            body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :] for at in range(len(body)) for bit in range(8)
        ]
        for damaged in cut + flipped:
            assert not harness.compare(damaged, version), damaged.hex()


@pytest.mark.parametrize("version", [1, 2])
def test_random_bytes(version: int) -> None:
    """Bytes that were never a message."""
    rng = random.Random(40 + version)
    harness = Harness()
    for _ in range(5_000):
        body = rng.randbytes(rng.randrange(40))
        assert not harness.compare(body, version), body.hex()


def test_public_body() -> None:
    """The public body of 10,000 series (NISSA_CORPORA) comes out as Google reads it."""
    directory = os.environ.get("NISSA_CORPORA")
    if not directory:
        pytest.skip("NISSA_CORPORA is not set")
    body = (Path(directory) / "remote-write-1.0-10k-series.bin").read_bytes()
    assert not Harness(Limits()).compare(body, 1)


# ---- Shape -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_an_empty_body_is_sound(version: int) -> None:
    """No bytes are a message without series."""
    rig = Rig()
    assert rig.decode(b"", version) == []
    assert len(rig.batch) == 0


def test_the_other_version_is_refused() -> None:
    """A body of 2.0 under the name of 1.0, or the reverse, would be read as empty: it is refused instead."""
    first, second = series(UP), request_2(UP)
    for body, version in (
        (second, 1),
        (first, 2),
        (first + second, 1),
        (second + first, 2),
        (field(4, b""), 1),
        (field(3, b""), 2),
    ):
        with pytest.raises(Malformed, match="the other version"):
            Rig().decode(body, version)


def test_the_caller_is_held_to_its_terms() -> None:
    """A minute that would mean idle is the caller's mistake."""
    for version in (1, 2):
        with pytest.raises(ValueError, match="expected a minute above 0"):
            Rig().decode(b"", version, minute=0)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("wire", [0, 1, 5])
def test_known_fields_keep_their_wire_type(number: int, wire: int) -> None:
    """A known field in another wire type breaks its series: the sample before it and what follows are refused."""
    value = varint(number << 3 | wire) + b"\x00" * {0: 1, 1: 8, 5: 4}[wire]
    rig = Rig()
    rig.decode(field(1, label("__name__", "up") + sample() + value) + series(UP))
    assert (rig.batch.refused, rig.batch.samples) == ({"record_malformed": 2}, 1)
    if (number, wire) != (1, 0):  # an unpacked reference of 2.0 is a varint
        one = field(5, field(1, b"\x01\x02") + sample())
        rig.decode(request_with(sample(), value) + one, 2)
        assert (rig.batch.refused, rig.batch.samples) == ({"record_malformed": 2}, 1)


# ---- Faults of records -----------------------------------------------------------------------------------------------


def test_one_bad_label_costs_one_series() -> None:
    """Of 100 series one has a label that is not UTF-8, in both versions: 99 are kept, every time it is sent."""
    good = [[("__name__", "up"), ("i", str(number))] for number in range(99)]
    first = b"".join(map(series, good)) + series([*UP, ("x", b"caf\xe9")], sample(), sample())
    second = request_2(*good) + field(4, b"caf\xe9")
    refs = bytes([1, 2, 3, len(Request.FromString(request_2(*good)).symbols)])
    for version, body in ((1, first), (2, second + field(5, field(1, refs) + sample() + sample()))):
        rig = Rig()
        for _ in range(2):
            rig.decode(body, version)
            assert (rig.batch.samples, rig.batch.refused) == (99, {"text_not_utf8": 2})
            assert rig.batch.rows_received == 101
        assert rig.batch.examples["text_not_utf8"].series in ('up{x="caf\\xe9"}', 'up{i="caf\\xe9"}')
        assert rig.batch.examples["text_not_utf8"].ts_ms == 60_000


@pytest.mark.parametrize("version", [1, 2])
def test_a_bad_sample_costs_itself(version: int) -> None:
    """Samples, histograms and exemplars that are at fault are refused alone; their series keeps the rest."""
    histogram, exemplar = (4, 3) if version == 1 else (3, 4)
    parts = (sample(1.0), field(2, field(1, 5)), sample(2.0), field(exemplar, field(2, 1)), field(exemplar, b""))
    rig = Rig()
    rig.decode(series(UP, *parts) if version == 1 else request_with(*parts), version)
    assert [row[2] for row in rig.rows()] == [1.0, 2.0]
    assert (rig.batch.refused, rig.batch.refused_rows) == ({"record_malformed": 2}, {"record_malformed": 1})
    assert rig.batch.exemplars == 1
    parts = (field(histogram, field(8, 1)), field(histogram, b""))
    rig.decode(series(UP, *parts) if version == 1 else request_with(*parts), version)
    assert (rig.batch.refused, rig.batch.histograms) == ({"record_malformed": 1}, 1)
    assert rig.batch.examples["record_malformed"].series == "up"


def test_bad_metadata_costs_itself() -> None:
    """Metadata of 1.0 that is not UTF-8 is refused and counted, but is no record; the rest of the body is kept."""
    rig = Rig()
    notes = rig.decode(field(3, field(2, b"m") + field(4, b"\xc0\x80")) + field(3, field(2, b"n")) + series(UP))
    assert [note.name for note in notes] == ["n"]
    assert (rig.batch.refused, rig.batch.refused_rows, rig.batch.samples) == ({"text_not_utf8": 1}, {}, 1)


def test_examples_name_the_first_of_each_reason() -> None:
    """Series, time and place of the first record refused for a reason; control characters and long labels are tamed."""
    rig = Rig()
    old = series([*UP, ("a", 'x"\n')], sample(1.0, 5), sample(1.0, 4))
    rig.decode(old + series([("b", "y")]) + series([*UP, ("long", "v" * 5_000)], sample(1.0, 2**62)), newest_ms=10**6)
    assert rig.batch.examples["name_missing"] == Example('{b="y"}', 60_000, len(old) + 2)
    assert rig.batch.examples["too_new"].series == "up{…}"
    rig.decode(old, oldest_ms=10)
    assert rig.batch.examples == {"too_old": Example('up{a="x\\"\\n"}', 5, 2)}
    rig.decode(series(UP))
    assert rig.batch.examples == {}


@pytest.mark.parametrize(
    ("body", "version", "what"),
    [
        (field(1, b""), 1, "series"),
        (field(5, b""), 2, "series"),
        (field(1, label("__name__", "up") + field(4, field(4, 99)) * 60), 1, "samples"),
        (field(1, label("__name__", "up") + field(3, b"") * 60), 1, "samples"),
    ],
)
def test_what_leaves_no_record_is_bounded_too(body: bytes, version: int, what: str) -> None:
    """Empty series, exemplars and invalid histograms count against the limits of a frame like those that are kept."""
    rig = Rig(rows_max=1_000, records_max=1_000)
    with pytest.raises(TooLarge, match=f"{what} in one frame: 1001 is over the limit"):
        rig.decode(body * 1_001, version)


def test_the_last_of_a_repeated_scalar_holds() -> None:
    """Time and value given twice: the last; not given: 0."""
    rig = Rig()
    twice = field(2, field(2, 1) + field(1, 1.0) + field(1, 2.0) + field(2, 2))
    rig.decode(series(UP, twice, field(2, b""), field(2, field(1, 3.0))))
    assert rig.rows() == [("up", 2, 2.0), ("up", 0, 0.0), ("up", 0, 3.0)]


def test_every_bit_of_a_value_is_kept() -> None:
    """NaN payloads, both zeros, infinities, denormals, random bits: 1.0 and 2.0 keep all 64."""
    rng = random.Random(9)
    special = [
        STALE_BITS,
        0x7FF8000000000001,
        0xFFF8000000000000,
        0x7FF0000000000001,
        1 << 63,
        0,
        1,
        0x7FF0000000000000,
        (1 << 64) - 1,
    ]
    bits = [*special, *(rng.getrandbits(64) for _ in range(500))]
    samples = b"".join(field(2, b"\x09" + each.to_bytes(8, "little") + field(2, NOW_MS)) for each in bits)
    for version, body in ((1, series(UP, samples)), (2, request_with(samples))):
        rig = Rig()
        rig.decode(body, version)
        assert rig.batch.columns()[2].view(np.uint64).tolist() == bits


# ---- Size ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (field(1, b"") * 1_000_000, 1),
        (field(5, b"") * 900_000, 2),  # refused one by one
        (field(60, 1) * 1_000_000, 1),
        (field(60, 1) * 1_000_000, 2),
        (field(1, field(60, 1) * 1_000_000), 1),
        (field(1, field(1, b"") * 1_000_000 + sample()), 1),
        (field(1, field(2, field(60, 1) * 500_000)), 1),
        (field(1, field(3, field(60, 1) * 500_000)), 1),
        (field(4, b"") * 1_000_000, 2),
        (field(60, b"x" * 32_000_000), 1),
    ],
)
def test_many_small_fields_cost_little(body: bytes, version: int) -> None:
    """A million empty series or tiny fields are walked in one pass, and nothing of them is kept."""
    rig = Rig()
    tracemalloc.start()
    rig.decode(body, version)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000  # Python objects: none by field
    tracemalloc.stop()
    assert rig.index.series_count == 0
    assert rig.index.memory_bytes < 200_000


def test_metadata_of_1() -> None:
    """Metadata of 1.0 in order, types as words, and none that names no metric."""
    message = WriteRequest()
    for number, name in enumerate(("a", "b", "", "d"), 1):
        message.metadata.add(type=number, metric_family_name=name, help="h" * number, unit="s")
    message.metadata.add(metric_family_name="e")
    body = message.SerializeToString() + field(3, field(1, 99) + field(2, b"f"))
    expected = [
        ("a", "counter", "h", "s"),
        ("b", "gauge", "hh", "s"),
        ("d", "gaugehistogram", "hhhh", "s"),
        ("e", "unknown", "", ""),
        ("f", "unknown", "", ""),
    ]
    assert [(note.name, note.type, note.help, note.unit) for note in Rig().decode(body)] == expected


# ---- Histograms and exemplars ----------------------------------------------------------------------------------------


def with_histograms(version: int, *some: dict[str, Any], name: str = "h", floats: int = 0) -> bytes:
    """A body with one series of native histograms."""
    message: Any = CLASSES[version]()
    one = message.timeseries.add()
    if version == 1:
        one.labels.add(name="__name__", value=name)
    else:
        message.symbols.extend(("", "__name__", name))
        one.labels_refs.extend((1, 2))
    for each in some:
        one.histograms.add(**({"timestamp": NOW_MS} | each))
    for _ in range(floats):
        one.samples.add(value=1.0, timestamp=NOW_MS)
    return bytes(message.SerializeToString())


@pytest.mark.parametrize("version", [1, 2])
def test_native_histograms_become_count_and_sum(version: int) -> None:
    """Counts of integers and of floats; each histogram is a row of NAME_count and one of NAME_sum, counted once."""
    rig = Rig()
    body = with_histograms(
        version,
        {"count_int": 7, "sum": 1.5, "schema": 3, "zero_count_int": 7},
        {"count_float": 2.5, "sum": -0.5, "schema": -53},
    )
    for _ in range(2):
        rig.decode(body, version)
        assert rig.rows() == [
            ("h_count", NOW_MS, 7.0),
            ("h_count", NOW_MS, 2.5),
            ("h_sum", NOW_MS, 1.5),
            ("h_sum", NOW_MS, -0.5),
        ]
        assert (rig.batch.histograms, rig.batch.samples, rig.batch.rows_received) == (2, 0, 4)


@pytest.mark.parametrize("version", [1, 2])
def test_a_stale_histogram_makes_both_series_stale(version: int) -> None:
    """The staleness marker in the sum, bit for bit, in both series, whatever the count."""
    rig = Rig()
    rig.decode(with_histograms(version, {"sum": float_of(STALE_BITS), "count_int": 3}), version)
    assert rig.batch.columns()[2].view(np.uint64).tolist() == [STALE_BITS, STALE_BITS]


@pytest.mark.parametrize("version", [1, 2])
def test_invalid_histograms_are_refused_one_by_one(version: int) -> None:
    """Negative or NaN counts and unknown schemas are refused; the sound histograms beside them are kept."""
    wrong = [{"count_float": -1.0}, {"count_float": float("nan")}, {"schema": 9}, {"schema": -5}, {"schema": 2**31 - 1}]
    rig = Rig()
    rig.decode(with_histograms(version, ONE, *wrong, ONE | {"sum": 2.0}), version)
    assert [row[2] for row in rig.rows()] == [1.0, 1.0, 0.0, 2.0]
    assert (rig.batch.refused, rig.batch.refused_rows) == ({"histogram_invalid": 5}, {"histogram_invalid": 10})
    assert (rig.batch.histograms, rig.batch.rows_received) == (2, 14)
    rig = Rig()
    rig.decode(with_histograms(version, *wrong), version)
    assert (len(rig.batch), rig.index.series_count, rig.batch.refused) == (0, 0, {"histogram_invalid": 5})


def test_floats_and_histograms_in_one_series() -> None:
    """1.0 keeps both; 2.0 forbids it: the series is refused, and each of its samples and histograms is counted."""
    rig = Rig()
    rig.decode(with_histograms(1, ONE, floats=2))
    assert (rig.batch.samples, rig.batch.histograms, rig.batch.refused) == (2, 1, {})
    rig = Rig()
    rig.decode(with_histograms(2, ONE, floats=2) + field(5, field(1, b"\x01\x02") + sample()), 2)
    assert (rig.batch.refused, rig.batch.refused_rows) == ({"mixed_series": 3}, {"mixed_series": 4})
    assert (rig.batch.samples, rig.batch.histograms, rig.batch.rows_received) == (1, 0, 5)
    assert rig.labels() == [[("__name__", "h")]]


@pytest.mark.parametrize("version", [1, 2])
def test_half_a_histogram_is_told(version: int) -> None:
    """If the limit admits the count series and not the sum series, the histograms are counted as refused."""
    rig = Rig()
    rig.decode(
        with_histograms(version, ONE, ONE, {"timestamp": 5}),
        version,
        admit_max=1,
        oldest_ms=6,
    )
    assert (rig.batch.histograms, rig.batch.refused) == (0, {"series_limit": 2, "too_old": 1})
    assert rig.batch.refused_rows == {"series_limit": 3, "too_old": 1}
    assert rig.batch.rows_received == len(rig.batch) + 4


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("size", [4_089, 4_090, 4_091, 4_092, 4_093, 60_000])
def test_long_names_of_histograms(version: int, size: int) -> None:
    """A name that with its suffix has more than 4,096 bytes is refused as too long; nothing else is read for it."""
    rig = Rig()
    rig.decode(with_histograms(version, ONE, name="n" * size), version)
    expected = [size + len(suffix) for suffix in ("_count", "_sum") if size + len(suffix) <= 4_096]
    assert [len(labels[0][1]) for labels in rig.labels()] == expected
    assert rig.batch.refused_rows == ({"label_too_long": 2 - len(expected)} if len(expected) < 2 else {})


@pytest.mark.parametrize("version", [1, 2])
def test_histograms_without_a_name_are_refused(version: int) -> None:
    """A suffix alone is no name."""
    rig = Rig()
    rig.decode(with_histograms(version, ONE, name=""), version)
    assert rig.batch.refused == {"name_missing": 1}
    assert rig.index.series_count == 0


def test_first_sight_of_a_histogram_with_metadata() -> None:
    """A new series of histograms counts as histograms; its metadata is returned once, under the metric's own name."""
    message = Request.FromString(with_histograms(2, ONE))
    message.timeseries[0].metadata.type = 3
    rig = Rig()
    assert rig.decode(message.SerializeToString(), 2) == [Metadata("h", "histogram", "", "")]
    assert (rig.batch.histograms, rig.batch.samples) == (1, 0)
    assert rig.decode(message.SerializeToString(), 2) == []
    assert rig.batch.missed == 0


SPAN = {"offset": 0, "length": 2}
FITTING = {"count_int": 7, "positive_spans": [SPAN], "positive_deltas": [1, 2], "zero_count_int": 3}
CUSTOM = {
    "schema": -53,
    "count_int": 4,
    "positive_spans": [SPAN],
    "positive_deltas": [1, 2],
    "custom_values": [0.5, 1.0],
}
FLOATS = {"count_float": 9.0, "positive_spans": [SPAN], "positive_counts": [1.0, 2.5], "negative_counts": []}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("histogram", "is_sound"),
    [
        (FITTING, True),
        (FITTING | {"count_int": 8}, False),
        (FITTING | {"count_int": 8, "sum": float("nan")}, True),
        (FITTING | {"count_int": 6, "sum": float("nan")}, False),
        (FITTING | {"positive_deltas": [1, -2]}, False),
        (FITTING | {"positive_deltas": [1]}, False),
        (FITTING | {"positive_spans": [SPAN, {"offset": -1, "length": 0}]}, False),
        (FITTING | {"negative_spans": [{"offset": -4, "length": 1}], "negative_deltas": [5], "count_int": 12}, True),
        (FITTING | {"custom_values": [1.0]}, False),
        (FITTING | {"positive_deltas": [2**63 - 1, 1]}, False),
        (CUSTOM, True),
        (CUSTOM | {"custom_values": []}, False),
        (CUSTOM | {"custom_values": [1.0, 1.0]}, False),
        (CUSTOM | {"custom_values": [1.0, float("inf")]}, False),
        (CUSTOM | {"zero_threshold": 0.1}, False),
        (CUSTOM | {"zero_count_int": 1, "count_int": 5}, False),
        (CUSTOM | {"negative_spans": [{"offset": 0, "length": 0}]}, False),
        (CUSTOM | {"positive_spans": [{"offset": 1, "length": 2}]}, True),
        (CUSTOM | {"positive_spans": [{"offset": 2, "length": 2}]}, False),
        (FLOATS, True),
        (FLOATS | {"positive_counts": [1.0, -2.5]}, False),
        (FLOATS | {"positive_counts": [1.0]}, False),
    ],
)
def test_buckets_fit(version: int, histogram: dict[str, Any], is_sound: bool) -> None:
    """Buckets fit their spans, count and schema, by Prometheus' own rules; the twin agrees on each case."""
    body = with_histograms(version, histogram)
    rig = Rig()
    rig.decode(body, version)
    assert (rig.batch.histograms, rig.batch.refused) == ((1, {}) if is_sound else (0, {"histogram_invalid": 1}))
    assert not Harness(Limits()).compare(body, version)


def test_bucket_fields_are_checked() -> None:
    """Fields of buckets are read as strictly as the rest; a histogram whose bytes are at fault is refused alone."""
    wrong = [
        field(8, b"\x0a\x00"),
        field(8, 1),
        field(9, b"\x80"),
        field(10, bytes(7)),
        field(10, 1),
        field(5, 1),
        field(6, 1.0),
        field(15, 1.0),
    ]
    rig = Rig()
    for part in wrong:
        for body, version in ((series(UP, field(4, part)), 1), (request_with(field(3, part)), 2)):
            rig.decode(body, version)
            assert (rig.batch.refused, rig.batch.refused_rows) == ({"record_malformed": 1}, {"record_malformed": 2})


def test_exemplars_are_counted() -> None:
    """Exemplars are checked and counted with a series that is kept, and make no row."""
    rig = Rig()
    exemplar = field(3, label("trace_id", "é") + field(2, 1.0) + field(3, NOW_MS))
    rig.decode(series(UP, sample(), *[exemplar] * 3))
    assert (rig.batch.exemplars, len(rig.batch)) == (3, 1)
    rig.decode(series([("a", "nameless")], sample(), exemplar))
    assert (rig.batch.exemplars, rig.batch.refused) == (0, {"name_missing": 1})
    rig.decode(request_with(sample(), field(4, field(1, b"\x01\x02")), field(4, b"")), 2)
    assert (rig.batch.exemplars, len(rig.batch)) == (2, 1)
    rig.decode(request_with(sample(), field(4, b""), refs=b"\x01\x09"), 2)
    assert (rig.batch.exemplars, rig.batch.refused) == (0, {"reference_invalid": 1})
    for part in (label("a", b"\xff"), field(2, 1), field(3, 1.0), field(1, 1)):
        rig.decode(series(UP, sample(), field(3, part)))
        assert (rig.batch.exemplars, rig.batch.samples, sum(rig.batch.refused.values())) == (0, 1, 1)
