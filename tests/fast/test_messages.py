"""Counts of the messages of a delimited body, as the decoder leaves them."""

import pytest

from nissa._fast.batch import Batch
from nissa._fast.leyline import decode_leyline
from nissa._fast.messages import add_message, message_columns
from nissa._fast.series import SeriesIndex
from nissa._proto import leyline_pb2 as leyline
from nissa.model.errors import TooLarge
from nissa.model.refusal import Refusal
from oracle.wire import delimit

NOW_MS = 1_758_000_000_000
NONE = 255


def packet(seconds: int, metrics: int, events: int = 0, **more: str) -> bytes:
    """A packet at a time, with so many metrics and events."""
    made = leyline.TelemetryPacket(source_subsystem="s")
    made.timestamp.seconds = seconds
    for number in range(metrics):
        made.metrics.add(name=f"m{number}", value=1.0, attributes=more)
    for number in range(events):
        made.events.add(event_id=str(number))
    return bytes(made.SerializeToString())


def decode(batch: Batch, messages: list[bytes], admit_max: int = 1_000) -> None:
    """A delimited body of Leyline packets; samples a minute before and after NOW_MS are in time."""
    terms = {"minute": 1, "admit_max": admit_max, "oldest_ms": NOW_MS - 60_000, "newest_ms": NOW_MS + 60_000}
    index = SeriesIndex(bytes(32))
    decode_leyline(delimit(messages), 5, index, batch, delimited=True, received_ms=NOW_MS, **terms)


def test_each_message_has_its_counts() -> None:
    """Kept, too old, over the series limit, malformed, empty, partly: rows and events of each message by itself."""
    now_s, batch = NOW_MS // 1000, Batch()
    over = packet(now_s, 3, x="new")
    broken = packet(now_s, 1) + b"\x52\x02\x0a\x05"
    decode(batch, [packet(now_s, 2, 1), packet(now_s - 999, 2), over, b"\xff", b"", broken], admit_max=3)
    kept, refused, reason, first_event = message_columns(batch)
    assert kept.tolist() == [2, 0, 1, 0, 0, 1]
    assert refused.tolist() == [0, 2, 2, 1, 0, 1]
    reasons = [NONE, Refusal.TOO_OLD, Refusal.SERIES_LIMIT, Refusal.RECORD_MALFORMED, NONE, Refusal.RECORD_MALFORMED]
    assert reason.tolist() == reasons
    assert first_event.tolist() == [0, 1, 1, 1, 1, 1, 1]


def test_a_frame_without_messages_has_none() -> None:
    """An empty run, and a body that is one message, leave no counts of the frame before."""
    batch = Batch()
    decode(batch, [packet(NOW_MS // 1000, 1)])
    decode(batch, [])
    assert [len(column) for column in message_columns(batch)] == [0, 0, 0, 1]


def test_messages_of_a_frame_have_a_limit() -> None:
    """A frame has at most as many messages as it may have series."""
    batch = Batch(100, 5)
    decode(batch, [b""] * 5)
    assert len(message_columns(batch)[0]) == 5
    with pytest.raises(TooLarge, match="messages in one frame: 6 is over the limit of 5"):
        decode(batch, [b""] * 6)


def test_a_slow_path_adds_its_own() -> None:
    """Messages that Python has read are counted the same way."""
    batch = Batch()
    batch.clear(2)
    add_message(batch, 0)
    add_message(batch, 1, Refusal.TEXT_NOT_UTF8)
    add_message(batch, 1)
    kept, refused, reason, first_event = message_columns(batch)
    assert (kept.tolist(), refused.tolist()) == ([0, 0, 0], [0, 1, 0])
    assert (reason.tolist(), first_event.tolist()) == ([NONE, Refusal.TEXT_NOT_UTF8, NONE], [0, 1, 1, 2])
    with pytest.raises(ValueError, match="no such refusal: 99"):
        add_message(batch, 1, 99)
