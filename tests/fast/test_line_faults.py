"""Lines at fault, as the decoders of text name them."""

from nissa._fast.exposition import decode_exposition
from nissa.model.text_faults import LineFault
from oracle.bodies import Rig


def faults_of(body: bytes) -> list[LineFault]:
    """The faults of an exposition body, at a time of which 1,000 ms is the oldest."""
    rig = Rig()
    terms = {"minute": 1, "admit_max": 1, "oldest_ms": 1_000, "newest_ms": 2_000, "now_ms": 1_500}
    return decode_exposition(body, rig.index, rig.batch, openmetrics=False, **terms)[1]


def test_faults_are_named_in_the_order_of_lines() -> None:
    """Faults found while lines are read, and those of their series, stand in one order, with their places."""
    found = faults_of(b'a 1\nb 2\n\na{"x} 3\nc\na 4 999\na 5 2001')
    assert [(fault.line, fault.offset, fault.reason, fault.ts_ms) for fault in found] == [
        (2, 4, "series_limit", None),
        (4, 9, "record_malformed", None),
        (5, 17, "record_malformed", None),
        (6, 19, "too_old", 999),
        (7, 27, "too_new", 2001),
    ]
    assert [fault.words for fault in found[:3]] == ["", "a quoted string has no end", "a line ends before its value"]


def test_lines_are_shown_up_to_a_length() -> None:
    """A long line is cut at 200 bytes, the last line needs no line feed, and other bytes than UTF-8 are replaced."""
    long, bad = faults_of(b"x" * 300 + b"\n\xff\xfe\r")
    assert (long.text, bad.text) == ("x" * 200, "��")
    assert len(faults_of(b"x\n" * 100)) == 64
