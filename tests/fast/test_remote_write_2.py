"""What remote write 2.0 has of its own: a symbol table, references, metadata. The rest is proven with 1.0."""

import pytest

from nissa._proto.remote_write_v2_pb2 import Request
from nissa.model.columns import Metadata
from nissa.model.errors import Malformed
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
    ("body", "words"),
    [
        (request_with(sample(), refs=b"\x01\x03"), "symbol that does not exist"),
        (request_with(sample(), refs=b"\x01" + varint(2**32 - 1)), "symbol that does not exist"),
        (request_with(sample(), refs=b"\x01\x02\x01"), "do not come in pairs"),
        (request_with(sample(), refs=b"\x01\x82"), "longer than the message"),
        (request_with(sample(), symbols=("__name__", "up", "x")), "first symbol"),
        (request_with(sample(), symbols=()), "symbol that does not exist"),
        (request_with(field(4, field(1, b"\x01"))), "do not come in pairs"),
        (request_with(field(4, field(1, b"\x01\x07"))), "symbol that does not exist"),
        (request_with(field(5, field(3, 3))), "symbol that does not exist"),
        (request_with(field(5, field(4, 2**31))), "symbol that does not exist"),
        (field(4, b"") + field(4, b"\xff"), "not UTF-8"),
    ],
)
def test_malformed_requests_of_2(body: bytes, words: str) -> None:
    """What is wrong with references and symbols is said."""
    rig = Rig()
    with pytest.raises(Malformed, match=words):
        rig.decode(body, 2)
    assert rig.size() == (0, 0, 0)


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


def test_metadata_without_samples_is_kept() -> None:
    """A series of 2.0 without samples still says what its metric is; one that is refused does not."""
    rig = Rig()
    assert rig.decode(request_with(field(5, field(1, 1))), 2) == [Metadata("up", "counter", "", "")]
    assert rig.decode(request_with(field(5, field(1, 1)), sample(), refs=b"\x02\x02"), 2) == []
    assert rig.size() == (0, 0, 0)
