"""DogStatsD events and service checks become messages; lines that are none are given back."""

from typing import Any

import pytest

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa.codec.packets import decode
from nissa.codec.statsd_events import read_statsd_events
from nissa.model.decoded import Window
from nissa.model.frame import Codec, Encoding, Frame, Source

NOW_MS = 1_758_000_000_777


def kept(*lines: bytes) -> list[dict[str, Any]]:
    """Events as they are stored, with their attributes."""
    body, malformed = read_statsd_events(lines, NOW_MS)
    assert malformed == []
    frame = Frame(Codec.NISSA_EVENT, Encoding.IDENTITY, Source.STATSD, NOW_MS, body, delimited=True)
    index = SeriesIndex(bytes(range(32)))
    events = decode(frame, body, index, Batch(), Window(1, 1, 0, 2**62)).events
    assert events is not None
    assert len(events) == len(lines)
    return [events.row(row) for row in range(len(events))]


def test_an_event() -> None:
    """Title, text, time, level, source and tags; lengths may count bytes or characters."""
    line = "_e{7,8}:Grüße|two\\nlin|d:1758000000|h:web-1|p:low|t:error|k:g|s:app|#env:dev,flag".encode()
    plain, full = kept(b"_e{2,1}:ab|c", line)
    assert (plain["description"], plain["level"], plain["time_ms"], plain["source"]) == ("ab", 1, NOW_MS, "")
    assert plain["attributes"] == {"text": "c"}
    assert (full["description"], full["level"], full["time_ms"]) == ("Grüße", 3, 1_758_000_000_000)
    assert full["source"] == "app"
    assert full["attributes"] == {
        "text": "two\nlin",
        "host": "web-1",
        "priority": "low",
        "alert_type": "error",
        "aggregation_key": "g",
        "source": "app",
        "env": "dev",
        "flag": "true",
    }
    assert kept("_e{5,0}:Grüße|".encode())[0]["description"] == "Grüße"


def test_a_service_check() -> None:
    """Its status is the level, and its message may hold bars."""
    (check,) = kept(b"_sc|Redis connection|2|d:1758000000|h:db-1|#env:dev|m:timed out | after 10s")
    assert (check["description"], check["level"], check["source"]) == ("Redis connection", 4, "db-1")
    assert check["attributes"] == {
        "status": "2",
        "message": "timed out | after 10s",
        "host": "db-1",
        "env": "dev",
    }
    assert [each["level"] for each in kept(*(b"_sc|a|%d" % status for status in range(4)))] == [1, 2, 4, 2]


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"_e{",
            b"_e{1,1}",
            b"_e{1,1}:a",
            b"_e{2,1}:a|b",
            b"_e{1,2}:a|b",
            b"_e{x,1}:a|b",
            b"_e{0,1}:|b",
            b"_e{1}:a|b",
        ),
        *(b"_sc|", b"_sc|name", b"_sc||0", b"_sc|name|4", b"_sc|name|x", b"_e{1,1}:a|b|d:x", b"_sc|\xff|0"),
        b"_e{1,1}:a|b|d:999999999999999",
    ],
)
def test_lines_that_are_none(line: bytes) -> None:
    """Lines that are no events are given back, and leave no message."""
    assert read_statsd_events([line], NOW_MS) == (b"", [line])
