"""The inline cursor, read through the remote write decoder: every rule of the wire, at every end of the bytes."""

import itertools

import pytest

from nissa.model.errors import Malformed
from oracle.bodies import Rig, field, label, sample, series
from oracle.wire import varint

UP = [("__name__", "up")]
ANY = 60  # an unknown field number


def sound(body: bytes) -> bool:
    """True if the decoder takes the whole ``body``. A refused body or record must leave nothing in the rig."""
    rig = Rig()
    try:
        rig.decode(body)
    except Malformed as error:
        assert 0 <= error.offset <= len(body)
    else:
        if not rig.batch.refused:
            return True
    assert rig.size() == (0, 0, 0)
    assert len(rig.batch) == 0
    return False


@pytest.mark.parametrize("extra", range(12))
def test_varints_have_at_most_ten_bytes(extra: int) -> None:
    """A number may be spelt with needless bytes, up to ten in all."""
    body = varint(ANY << 3) + varint(5, extra)
    assert sound(body) == (1 + extra <= 10)
    assert sound(series(UP, field(2, b"\x10" + varint(5, extra)))) == (1 + extra <= 10)


@pytest.mark.parametrize(("last", "ok"), [(0, True), (1, True), (2, False), (0x7F, False), (0x81, False)])
def test_varints_have_at_most_64_bits(last: int, ok: bool) -> None:
    """The tenth byte has one bit to give."""
    assert sound(varint(ANY << 3) + b"\xff" * 9 + bytes([last])) == ok


def test_negative_numbers_are_ten_bytes() -> None:
    """Times from the lowest to the highest 64-bit number are kept as they are."""
    times = [-(2**63), -1, 0, 1, 2**31, 2**35 - 1, 2**35, 2**41, 2**42 - 1, 2**42, 2**63 - 1]
    rig = Rig()
    rig.decode(series(UP, *(sample(1.0, ts_ms) for ts_ms in times)))
    assert rig.batch.columns()[1].tolist() == times


@pytest.mark.parametrize(
    ("tag", "ok"),
    [
        (varint(0), False),  # field 0
        (varint(7), False),
        (varint((1 << 29) - 1 << 3), True),  # the highest field number
        (varint(1 << 32), False),  # one more bit
        (b"\xff\xff\xff\xff\x1f", False),
        (varint(ANY << 3, 2), True),  # four bytes where two do
        (varint(ANY << 3, 3), True),
        (varint(ANY << 3, 4), False),  # six bytes
        (b"\x80\x80\x80\x80\x00", False),  # field 0, spelt long
    ],
)
def test_tags(tag: bytes, ok: bool) -> None:
    """Tags have five bytes and 32 bits at most, and no field has number 0."""
    assert sound(tag + b"\x01") == ok
    assert sound(series(UP, tag + b"\x01")) == ok
    assert sound(series(UP, field(2, tag + b"\x01"))) == ok


@pytest.mark.parametrize("wire", [3, 4, 6, 7])
def test_groups_and_unknown_wire_types_are_refused(wire: int) -> None:
    """Groups, closed or not, and the two wire types that do not exist."""
    tag = varint(ANY << 3 | wire)
    assert not sound(tag)
    assert not sound(tag + varint(ANY << 3 | 4))
    assert not sound(field(1, tag * 2))


@pytest.mark.parametrize(
    "size", [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**35, 2**62, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
)
@pytest.mark.parametrize("tag", [varint(ANY << 3 | 2), b"\x0a"])
def test_lengths_do_not_wrap(size: int, tag: bytes) -> None:
    """A length beyond the end of its message is refused, however it would wrap."""
    attack = tag + varint(size) + b"x" * 20
    for body in (attack, field(1, attack), field(1, field(1, attack) + sample()), series(UP, field(4, attack))):
        assert not sound(body)


@pytest.mark.parametrize("extra", range(7))
def test_lengths_may_be_spelt_long(extra: int) -> None:
    """A length has up to five bytes."""
    assert sound(varint(ANY << 3 | 2) + varint(3, extra) + b"abc") == (1 + extra <= 5)
    inner = b"\x0a" + varint(8, extra) + b"__name__" + field(2, b"up")
    assert sound(field(1, field(1, inner) + sample())) == (1 + extra <= 5)


@pytest.mark.parametrize(("wire", "size"), [(1, 8), (5, 4)])
def test_fixed_numbers_are_whole(wire: int, size: int) -> None:
    """Fixed numbers of unknown fields have all their bytes or are refused."""
    for left in range(size + 1):
        assert sound(varint(ANY << 3 | wire) + b"\xff" * left) == (left == size)


def test_every_prefix_is_refused_or_whole() -> None:
    """A body cut anywhere is sound only where a top-level field ends."""
    fields = [
        series(UP),
        field(3, field(1, 1) + field(2, b"up")),
        series([*UP, ("a", "b" * 200)], sample(), sample()),
        field(ANY, 7),
    ]
    body = b"".join(fields)
    ends = set(itertools.accumulate(map(len, fields), initial=0))
    for end in range(len(body) + 1):
        assert sound(body[:end]) == (end in ends), end


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_utf8_of_one_and_two_bytes() -> None:
    """Every text of one or two bytes is judged as Python judges it."""
    rig = Rig()
    for pair in itertools.product(range(256), repeat=2):
        text = bytes(pair)
        assert taken(rig, text) == is_utf8(text), text


def taken(rig: Rig, text: bytes) -> bool:
    """True if a label may have this value. The series has no name and is refused, so nothing is registered."""
    rig.decode(field(1, label("a", text) + sample()))
    return rig.batch.refused == {"name_missing": 1}


def test_utf8_at_the_edges_of_ranges() -> None:
    """Overlong forms, surrogates and numbers beyond U+10FFFF are refused, at every place of an eight-byte word."""
    rig = Rig()
    leads = (
        0x7F,
        0x80,
        0xBF,
        0xC0,
        0xC1,
        0xC2,
        0xDF,
        0xE0,
        0xE1,
        0xEC,
        0xED,
        0xEE,
        0xEF,
        0xF0,
        0xF1,
        0xF3,
        0xF4,
        0xF5,
        0xF8,
        0xFF,
    )
    seconds = (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0)
    tails = (0x7F, 0x80, 0xBF, 0xC0)
    for index, combination in enumerate(itertools.product(leads, seconds, tails, tails)):
        for size in (3, 4):
            text = b"x" * (index % 11) + bytes(combination[:size])
            assert taken(rig, text) == is_utf8(text), text
            assert taken(rig, text + b"tail of eight") == is_utf8(text + b"tail of eight"), text
