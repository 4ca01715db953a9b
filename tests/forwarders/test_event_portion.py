"""Portions of events: batches of frames put together, made as they are asked for."""

from collections.abc import Sequence

from nissa.config.sinks import ElasticsearchSink
from nissa.forwarders.event_portion import EventPortion, EventPortions
from nissa.forwarders.event_routes import EventRoutes
from nissa.forwarders.journal_events import JournalEvents
from nissa.model.frame import Frame
from oracle.engine import NOW_MS, config_of
from oracle.log_frames import journal_frame, logs_frame


def portion_of(frames: Sequence[Frame], **changes: object) -> EventPortion:
    """The portion of frames with LSNs from 1."""
    decoder = JournalEvents(config_of(), bytes(32))
    maker = EventPortions(ElasticsearchSink(**changes), decoder, EventRoutes((), "s"), "d")  # type: ignore[arg-type]
    return maker.portion([journal_frame(frame, place + 1) for place, frame in enumerate(frames)])


def test_small_frames_share_a_batch_and_large_ones_are_cut() -> None:
    """Batches are bounded in events and bytes; every event is in one batch, in order, and counted."""
    sizes = [3, 5, 40, 1, 1, 12]
    frames = [logs_frame([f"{place}-{number}" for number in range(size)]) for place, size in enumerate(sizes)]
    portion = portion_of(frames, batch_events_max=10)
    assert portion.samples == 0, "decoded before it is asked for"
    batches = list(portion.batches)
    assert max(len(batch) for batch in batches) <= 10
    assert len(batches) < 10
    found = [batch.document(row)[1]["description"] for batch in batches for row in range(len(batch))]
    assert found == [f"{place}-{number}" for place, size in enumerate(sizes) for number in range(size)]
    assert (portion.lsn, portion.frames, portion.received_ms) == (6, 6, NOW_MS)
    assert (portion.samples, portion.filtered) == (sum(sizes), 0)
    by_size = list(portion_of(frames, batch_bytes_max=2_000).batches)
    assert all(batch.size <= 2_000 for batch in by_size)


def test_levels_are_left_out() -> None:
    """Counted, and their places stay those of the frame."""
    portion = portion_of([logs_frame(["a"], "info"), logs_frame(["b", "c"], "error")], levels=("error",))
    (batch,) = portion.batches
    assert [batch.document(row)[0] for row in range(2)] == ["d-2-0", "d-2-1"]
    assert (portion.samples, portion.filtered) == (3, 1)
