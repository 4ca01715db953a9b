"""Parts that only remote write 2.0 has: a symbol table, references, metadata. The rest is tested with 1.0."""

import pytest

from nissa._fast.series_restore import forget_starts
from nissa._proto.remote_write_v2_pb2 import Request
from nissa.model.columns import Metadata
from nissa.model.errors import Malformed, TooLarge
from oracle.bodies import Rig, field, request_with, sample
from oracle.wire import varint

UP = [("__name__", "up")]
NOW_MS = 1_758_000_000_000


def test_references_packed_and_single_are_the_same() -> None:
    """References in one run, in several, one by one or mixed, before and after the samples."""
    rig = Rig()
    symbols = Request(symbols=["", "__name__", "up", "a", "b"]).SerializeToString()
    single = b"".join(b"\x08" + bytes([ref]) for ref in (1, 2, 3, 4))
    for parts in (
        field(1, b"\x01\x02\x03\x04") + sample(),
        field(1, b"\x01") + field(1, b"\x02\x03") + sample() + field(1, b"\x04"),
        single + sample(),
        sample() + b"\x08\x01" + field(1, b"\x02\x03\x84\x00") + field(1, b""),
    ):
        rig.decode(symbols + field(5, parts), 2)
        assert rig.batch.samples == 1
    assert rig.labels() == [[("__name__", "up"), ("a", "b")]]


def test_symbols_may_stand_after_series() -> None:
    """The symbol table is the same wherever its parts stand."""
    rig = Rig()
    one = field(5, field(1, b"\x01\x02") + sample())
    rig.decode(field(4, b"") + one + field(4, b"__name__") + one + field(4, b"up"), 2)
    assert rig.labels() == [UP]
    assert rig.batch.samples == 2


@pytest.mark.parametrize(
    ("body", "refused", "samples"),
    [
        (request_with(sample(), refs=b"\x01\x03"), {"reference_invalid": 1}, 0),
        (request_with(sample(), refs=b"\x01" + varint(2**32 - 1)), {"reference_invalid": 1}, 0),
        (request_with(sample(), sample(), refs=b"\x01\x02\x01"), {"reference_invalid": 2}, 0),
        (request_with(sample(), refs=b"\x01\x82"), {"reference_invalid": 1}, 0),
        (request_with(sample(), symbols=()), {"reference_invalid": 1}, 0),
        (request_with(sample(), field(4, field(1, b"\x01"))), {"reference_invalid": 1}, 1),
        (request_with(sample(), field(4, field(1, b"\x01\x07"))), {"reference_invalid": 1}, 1),
        (request_with(sample(), field(5, field(3, 3))), {"reference_invalid": 1}, 1),
        (request_with(sample(), field(5, field(4, 2**31))), {"reference_invalid": 1}, 1),
        (request_with(sample()) + field(4, b"\xff"), {}, 1),
        (request_with(sample(), field(5, field(3, 3))) + field(4, b"\xff"), {"text_not_utf8": 1}, 1),
        (request_with(), {"series_empty": 1}, 0),
        (request_with(field(5, field(1, 1)), field(4, b"")), {"series_empty": 1}, 0),
    ],
)
def test_faults_of_2(body: bytes, refused: dict[str, int], samples: int) -> None:
    """References that lead nowhere refuse the series, exemplar or metadata they stand in, and so does bad text."""
    rig = Rig()
    for _ in range(2):
        assert rig.decode(body + field(5, field(1, b"\x01\x02") + sample()) if samples else body, 2) == []
        assert rig.batch.refused == refused
        assert rig.batch.samples == (2 if samples else 0)


def test_the_first_symbol_is_empty() -> None:
    """A symbol table that begins with a text is of another schema: the body is refused."""
    rig = Rig()
    with pytest.raises(Malformed, match="first symbol"):
        rig.decode(request_with(sample(), symbols=("__name__", "up", "x")), 2)
    assert rig.size() == (0, 0, 0)


@pytest.mark.parametrize(
    ("type_number", "name", "family"),
    [
        (3, "h_bucket", "h"),
        (3, "h_sum", "h"),
        (3, "h_count", "h"),
        (3, "h_count_sum", "h_count"),
        (3, "_bucket", "_bucket"),
        (4, "h_gsum", "h"),
        (4, "h_gcount", "h"),
        (4, "h_bucket", "h"),
        (5, "h_sum", "h"),
        (5, "h_bucket", "h_bucket"),
        (1, "h_count", "h_count"),
        (2, "h_sum", "h_sum"),
    ],
)
def test_metadata_is_kept_under_the_family(type_number: int, name: str, family: str) -> None:
    """Metadata of a classic histogram or summary is that of its family, whose name has no suffix."""
    body = request_with(field(5, field(1, type_number)), sample(), symbols=("", "__name__", name))
    assert [note.name for note in Rig().decode(body, 2)] == [family]


def test_references_have_32_bits() -> None:
    """As Google's parser does, the upper half of a longer reference is not looked at."""
    rig = Rig()
    rig.decode(request_with(sample(), refs=varint(2**32 + 1) + b"\x02"), 2)
    assert rig.labels() == [UP]


def test_metadata_cannot_stand_for_labels() -> None:
    """Metadata takes part in the raw key of a series, but never as a label would: whatever its type and its texts."""
    symbols = ("", "__name__", "up", "job", "x")
    for number in (0, 1, 0x21, 0x22, 2**32 - 1):
        rig = Rig()
        rig.decode(
            request_with(field(5, field(1, number) + field(3, 3) + field(4, 4)), sample(1.0), symbols=symbols), 2
        )
        rig.decode(request_with(sample(2.0), refs=b"\x01\x02\x03\x04", symbols=symbols), 2)
        assert rig.labels() == [UP, [*UP, ("job", "x")]]
        assert rig.batch.columns()[0].tolist() == [1]


def test_metadata_of_2_is_told_once_and_when_it_changes() -> None:
    """A series' metadata comes with its first appearance and with a change, under the metric's name."""
    symbols = ("", "__name__", "up", "Is it up.", "s")
    with_help = request_with(field(5, field(1, 2) + field(3, 3)), sample(), symbols=symbols)
    rig = Rig()
    assert rig.decode(with_help, 2) == [Metadata("up", "gauge", "Is it up.", "")]
    assert rig.decode(with_help, 2) == []
    merged = field(5, field(1, 1) + field(3, 3)) + field(5, field(4, 4))
    assert rig.decode(request_with(merged, sample(), symbols=symbols), 2) == [
        Metadata("up", "counter", "Is it up.", "s")
    ]
    assert rig.index.series_count == 1


def test_metadata_of_a_refused_series_is_not_kept() -> None:
    """A series without samples, or one that is refused, does not say what its metric is."""
    rig = Rig()
    assert rig.decode(request_with(field(5, field(1, 1))), 2) == []
    assert rig.decode(request_with(field(5, field(1, 1)), sample(), refs=b"\x02\x02"), 2) == []
    assert rig.size() == (0, 0, 0)


# ---- Start timestamps ------------------------------------------------------------------------------------------------


def started(value: float, ts_ms: int, start_ms: int) -> bytes:
    """A sample that says when its counter began."""
    return field(2, field(1, value) + field(2, ts_ms) + field(3, start_ms))


def test_a_counter_begins_at_0() -> None:
    """A start that is new to its series leaves a row of 0 at that time, once, which is no sample of the sender."""
    rig = Rig()
    rig.decode(request_with(started(5.0, 1_000, 400), started(6.0, 2_000, 400)), 2)
    assert rig.rows() == [("up", 1_000, 5.0), ("up", 2_000, 6.0), ("up", 400, 0.0)]
    assert (rig.batch.samples, rig.batch.rows_received) == (2, 3)
    rig.decode(request_with(started(7.0, 3_000, 400)), 2)
    assert rig.rows() == [("up", 3_000, 7.0)]
    rig.decode(request_with(started(8.0, 5_000, 4_500)), 2)
    assert rig.rows() == [("up", 5_000, 8.0), ("up", 4_500, 0.0)]


def test_a_start_must_be_before_its_sample_and_inside_the_window() -> None:
    """A start at its sample or behind it, none at all, or one too old to be accepted leaves no row and is no fault."""
    rig = Rig()
    for start_ms in (0, 1_000, 2_000, 9):
        rig.decode(request_with(started(5.0, 1_000, start_ms)), 2, oldest_ms=10)
        assert rig.rows() == [("up", 1_000, 5.0)]
        assert (rig.batch.refused, rig.batch.rows_received) == ({}, 1)


def test_starts_are_kept_again_once_forgotten() -> None:
    """After frames were given up, a start that was kept before is kept again."""
    rig = Rig()
    body = request_with(started(5.0, 1_000, 400))
    rig.decode(body, 2)
    forget_starts(rig.index)
    rig.decode(body, 2)
    assert len(rig.batch) == 2


def test_histograms_begin_at_0_too() -> None:
    """A histogram that says when its counters began leaves rows of 0 of its count and its sum."""
    message = Request(symbols=["", "__name__", "h"])
    one = message.timeseries.add(labels_refs=[1, 2])
    one.histograms.add(count_int=3, zero_count_int=3, sum=1.5, timestamp=1_000, start_timestamp=400)
    rig = Rig()
    rig.decode(message.SerializeToString(), 2)
    expected = [("h_count", 1_000, 3.0), ("h_sum", 1_000, 1.5), ("h_count", 400, 0.0), ("h_sum", 400, 0.0)]
    assert rig.rows() == expected
    assert (rig.batch.histograms, rig.batch.rows_received) == (1, 4)


def test_starts_count_against_the_limit_of_samples() -> None:
    """Rows of 0 have room in the limit of a frame, or the frame is refused and leaves nothing."""
    rig = Rig(rows_max=3)
    with pytest.raises(TooLarge, match="samples in one frame"):
        rig.decode(request_with(started(5.0, 1_000, 400), started(6.0, 2_000, 500)), 2)
    assert rig.size() == (0, 0, 0)
