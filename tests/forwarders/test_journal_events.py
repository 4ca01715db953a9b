"""Events of the journal: those of each frame with their places, and nothing of frames that have none."""

import pytest

from nissa.forwarders.journal_events import JournalEvents, events_between
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.engine import NOW_MS, ONE, body_of, config_of
from oracle.events import event_batch, event_row
from oracle.log_frames import journal_frame, logs_frame, packet_frame


def test_events_come_with_their_places() -> None:
    """Events that are too old leave a gap; samples beside them cost nothing."""
    events = JournalEvents(config_of(), bytes(32))
    found = events.decode(journal_frame(packet_frame("p", ["a", "b"])))
    assert found is not None
    assert [found.events.row(place)["description"] for place in (0, 1)] == ["a", "b"]
    assert (found.lsn, found.places.tolist()) == (7, [0, 1])
    late = logs_frame(["old", "new"], time_ms=NOW_MS - 6 * 3_600_000 - 1)
    frame = Frame(late.codec, late.encoding, late.source, NOW_MS, late.body)
    found = events.decode(journal_frame(frame))
    assert found is not None
    assert (found.events.row(0)["description"], found.places.tolist()) == ("new", [1])


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.HTTP, NOW_MS, body_of([("m", NOW_MS, ONE)])),
        Frame(Codec.TALLY, Encoding.IDENTITY, Source.HTTP, NOW_MS, b"{}"),
        packet_frame("p", []),
    ],
)
def test_frames_without_events_give_none(frame: Frame) -> None:
    """Frames without events give None, also those of codecs that may have events."""
    assert JournalEvents(config_of(), bytes(32)).decode(journal_frame(frame)) is None


def test_a_frame_that_cannot_be_decoded_is_counted() -> None:
    """A frame that cannot be decoded is counted, and does not stop the others."""
    events = JournalEvents(config_of(), bytes(32))
    assert (
        events.decode(journal_frame(Frame(Codec.OTLP_LOGS, Encoding.IDENTITY, Source.HTTP, NOW_MS, b"\xff\xff")))
        is None
    )
    assert events.undecodable_frames == 1


def test_a_part_of_events() -> None:
    """The same rows, with no text of others."""
    rows = [event_row(5, number) for number in range(9)]
    part = events_between(event_batch(rows), 3, 7)
    assert [part.row(place) for place in range(4)] == rows[3:7]
    assert part.description.data == b"".join(row["description"].encode() for row in rows[3:7])
