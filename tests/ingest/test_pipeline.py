"""The journey of a frame: a replay takes the same records, and every record ends in exactly one counter."""

import random
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from cramjam import snappy

from nissa._fast.series import SeriesIndex
from nissa._fast.series_restore import seen_minutes_of
from nissa.codec.messages import MessageCodec
from nissa.config.tree import Acceptance, Config, Events, Ingest, Series
from nissa.ingest.pipeline import ADMIT_ALL, Pipeline
from nissa.model.counters import Counters
from nissa.model.errors import Malformed, NissaError, TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Example, Receipt
from nissa.model.units import HOUR_MS, MINUTE_MS
from oracle.bodies import SECRET, field, label, request_2, request_with, sample, series
from oracle.fuzz_remote_write import bodies

NOW_MS = 1_758_000_000_000
UP = [("__name__", "up")]


class Bench:
    """A pipeline and the journal it appends to: a list."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.journal: list[tuple[Frame, int]] = []
        self.pipeline = Pipeline(self.config, SeriesIndex(SECRET, self.config.series.active_max), {}, SECRET)

    def append(self, frame: Frame, series_new: int) -> int:
        self.journal.append((frame, series_new))
        return len(self.journal)

    def take(self, body: bytes, codec: Codec = Codec.REMOTE_WRITE_1, now_ms: int = NOW_MS, **other: Any) -> Receipt:
        frame = Frame(codec, other.get("encoding", Encoding.IDENTITY), other.get("source", Source.HTTP), now_ms, body)
        return self.pipeline.take(frame, self.append)

    def durable(self) -> None:
        self.pipeline.head.publish(len(self.journal), self.pipeline.head.total)

    def replayed(self) -> "Bench":
        """Another bench that has read this one's journal."""
        again = Bench(self.config)
        for lsn, (frame, series_new) in enumerate(self.journal, 1):
            again.pipeline.replay(frame, lsn, series_new)
        again.journal = list(self.journal)
        return again

    def rows(self) -> list[tuple[Any, int, int]]:
        """(labels, ts_ms, bits) of every visible row."""
        out = []
        for part in self.pipeline.head.snapshot():
            columns = part.series.tolist(), part.ts_ms.tolist(), part.value.view("u8").tolist()
            out += [(tuple(self.pipeline.index.labels(one)), ts, bits) for one, ts, bits in zip(*columns, strict=True)]
        return out

    def counters(self, source: str = "http/remote_write_1") -> Counters:
        return self.pipeline.tallies[source]

    def state(self) -> tuple[Any, ...]:
        """All that a replay must repeat."""
        index, count = self.pipeline.index, self.pipeline.index.series_count
        labels = [index.labels(one) for one in range(count)]
        seen = seen_minutes_of(index).tolist()
        return self.rows(), self.pipeline.tallies, labels, seen, self.pipeline.metadata, index.symbol_count


def small(active_max: int = 1_000_000, **acceptance: int) -> Config:
    return Config(series=Series(active_max=active_max, idle_ttl_ms=5 * MINUTE_MS), acceptance=Acceptance(**acceptance))


def at(ts_ms: int, name: str = "up", value: float = 1.0) -> bytes:
    return series([("__name__", name)], sample(value, ts_ms))


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_repeats_everything(seed: int) -> None:
    """Good, bad, damaged, late and over-limit frames over hours: a replay gives the same rows, tallies and index."""
    rng = random.Random(seed)
    bench = Bench(small(active_max=rng.choice((5, 12, 1_000)), past_ms=10**15, future_ms=10**15))
    now_ms = NOW_MS
    for _ in range(400):
        now_ms += rng.choice((0, 0, 1_000, 40_000, 200_000))
        version, some = bodies(rng)
        body = rng.choice(some)
        codec = Codec.REMOTE_WRITE_1 if version == 1 else Codec.REMOTE_WRITE_2
        encoding = rng.choice((Encoding.IDENTITY, Encoding.SNAPPY))
        if encoding == Encoding.SNAPPY and rng.random() < 0.9:
            body = bytes(snappy.compress_raw(body))
        frame = Frame(codec, encoding, rng.choice((Source.HTTP, Source.REPLAY)), now_ms, body)
        with suppress(NissaError):
            bench.pipeline.take(frame, bench.append)
    bench.durable()
    again = bench.replayed()
    assert bench.rows()
    assert again.state() == bench.state()
    for counters in bench.pipeline.tallies.values():
        assert counters.unaccounted == 0
    assert sum(counters.received for counters in bench.pipeline.tallies.values()) > 100


@pytest.mark.parametrize("seed", range(4))
def test_a_replay_repeats_admission(seed: int) -> None:
    """Few names, a low limit, sweeps, late and malformed frames: ids, refusals and activity come out alike."""
    rng = random.Random(100 + seed)
    bench = Bench(small(active_max=8))
    now_ms = NOW_MS
    for _ in range(1_500):
        now_ms += rng.choice((0, 1_000, 30_000, 60_000))
        times = (now_ms, now_ms, now_ms, now_ms - 7 * HOUR_MS, now_ms + HOUR_MS)
        body = b"".join(at(rng.choice(times), f"m{rng.randrange(14)}") for _ in range(rng.randrange(5)))
        if rng.random() < 0.1:
            body += b"\x0a\x7f"
        with suppress(NissaError):
            bench.take(body, now_ms=now_ms)
    bench.durable()
    assert bench.replayed().state() == bench.state()
    assert bench.counters().refused.keys() == {"too_old", "too_new", "series_limit"}
    assert bench.counters().malformed > 0
    assert bench.counters().unaccounted == 0


def test_the_window_has_both_its_edges() -> None:
    """now - past and now + future are accepted to the millisecond; one more is refused, on its side."""
    bench = Bench()
    past_ms, future_ms = bench.config.acceptance.past_ms, bench.config.acceptance.future_ms
    edges = (-past_ms - 1, -past_ms, future_ms, future_ms + 1)
    receipt = bench.take(b"".join(at(NOW_MS + edge) for edge in edges))
    bench.durable()
    assert [ts_ms for _, ts_ms, _ in bench.rows()] == [NOW_MS - past_ms, NOW_MS + future_ms]
    assert (receipt.samples, receipt.refused) == (2, {"too_old": 1, "too_new": 1})


@pytest.mark.parametrize("ts_ms", [-(2**63), -1, 0, 2**63 - 1])
def test_absurd_times_are_refused(ts_ms: int) -> None:
    """Times at the ends of 64 bits are outside the window; nothing wraps."""
    assert Bench().take(at(ts_ms)).refused == {"too_new" if ts_ms > NOW_MS else "too_old": 1}


def test_a_receipt_says_what_was_kept() -> None:
    """Samples, exemplars, metadata and refusals of one frame, and its LSN."""
    bench = Bench()
    body = (
        at(NOW_MS)
        + series(UP, sample(2.0, NOW_MS), field(3, field(2, 1.0)))
        + series([("a", "b")])
        + field(3, field(2, b"up"))
    )
    examples = {"name_missing": Example('{a="b"}', 60_000, body.index(series([("a", "b")])) + 2)}
    refused = {"name_missing": 1}
    expected = Receipt(1, samples=2, exemplars=1, metadata=1, refused=refused, examples=examples, series_new=1)
    assert bench.take(body) == expected
    assert bench.journal[0][1] == ADMIT_ALL
    assert bench.counters() == Counters(frames=1, received=3, stored=2, refused={"name_missing": 1})


def test_malformed_frames_are_counted_and_leave_nothing() -> None:
    """A frame that cannot be decoded, or is too large, raises; a note of it is in the journal, its bytes are not."""
    bench = Bench(Config(ingest=Ingest(decompressed_bytes_max=100, frame_samples_max=3)))
    for body, encoding, error in (
        (at(NOW_MS) + b"\x0a\x05", Encoding.IDENTITY, Malformed),
        (b"\x05not", Encoding.SNAPPY, Malformed),
        (b"x" * 101, Encoding.IDENTITY, TooLarge),
        (bytes(snappy.compress_raw(b"x" * 101)), Encoding.SNAPPY, TooLarge),
        (series(UP, *[sample(1.0, NOW_MS)] * 4), Encoding.IDENTITY, TooLarge),
    ):
        with pytest.raises(error):
            bench.take(body, encoding=encoding)
    assert bench.counters() == Counters(frames=5, malformed=5)
    assert {frame.codec for frame, _ in bench.journal} == {Codec.TALLY}
    assert bench.pipeline.index.series_count == 0
    assert bench.replayed().state() == bench.state()


def test_frames_without_effect_leave_a_note() -> None:
    """An empty frame, and one whose every record is refused, cost a note and no body."""
    bench = Bench()
    assert bench.take(b"") == Receipt()
    receipt = bench.take(series([("a", "b" * 10_000)]))
    assert (receipt.lsn, receipt.refused) == (2, {"name_missing": 1})
    assert all(frame.codec == Codec.TALLY and len(frame.body) < 200 for frame, _ in bench.journal)
    assert bench.counters() == Counters(frames=2, received=1, refused={"name_missing": 1})
    assert bench.replayed().state() == bench.state()


def test_metadata_alone_is_kept() -> None:
    """A frame of metadata only goes into the journal, and the latest word on a name holds."""
    bench = Bench()
    bench.take(field(3, field(1, 1) + field(2, b"up")))
    bench.take(field(3, field(1, 2) + field(2, b"up")) + field(3, field(2, b"")))
    assert {name: note.type for name, note in bench.pipeline.metadata.items()} == {"up": "gauge"}
    assert bench.replayed().pipeline.metadata == bench.pipeline.metadata


def test_over_the_limit_known_series_flow_on() -> None:
    """At the limit, samples of known series are stored and samples of new series refused, in the same frame."""
    bench = Bench(small(active_max=2))
    bench.take(at(NOW_MS, "a") + at(NOW_MS, "b"))
    receipt = bench.take(at(NOW_MS, "c") + at(NOW_MS, "a") + at(NOW_MS, "d") + at(NOW_MS, "b"))
    assert (receipt.samples, receipt.refused) == (2, {"series_limit": 2})
    assert [series_new for _, series_new in bench.journal] == [ADMIT_ALL, 0]
    only_new = bench.take(at(NOW_MS, "e"))
    assert (only_new.samples, only_new.refused) == (0, {"series_limit": 1})
    assert bench.journal[-1][0].codec == Codec.TALLY
    bench.durable()
    assert bench.replayed().state() == bench.state()


def test_idle_series_make_room_for_the_frame_at_hand() -> None:
    """The first frame after the idle time finds the room that idle series left, for new and returning ones."""
    bench = Bench(small(active_max=2))
    bench.take(at(NOW_MS, "a") + at(NOW_MS, "b"))
    later_ms = NOW_MS + 7 * MINUTE_MS
    receipt = bench.take(at(later_ms, "c") + at(later_ms, "a") + at(later_ms, "b"), now_ms=later_ms)
    assert (receipt.samples, receipt.refused) == (2, {"series_limit": 1})
    bench.durable()
    assert [row[0][0][1] for row in bench.rows()] == ["a", "b", "c", "a"]
    assert bench.replayed().state() == bench.state()


def test_refused_times_are_replayed_too() -> None:
    """A series first seen outside the window is known afterwards, in a replay as well: later samples are not lost."""
    bench = Bench(small(active_max=1))
    bench.take(at(NOW_MS - 24 * HOUR_MS, "a"))
    assert bench.take(at(NOW_MS, "a")).samples == 1
    bench.durable()
    again = bench.replayed()
    assert len(again.rows()) == 1
    assert again.state() == bench.state()


def test_frames_given_up_cost_no_later_sample() -> None:
    """Frames the journal could not keep are counted as unavailable; later samples of their series are replayed."""
    bench = Bench()
    bench.take(at(NOW_MS, "kept"))
    bench.durable()
    bench.take(at(NOW_MS, "lost") + at(NOW_MS, "late") + series([("a", "b")]))
    bench.pipeline.give_up(1)
    del bench.journal[1:]
    assert bench.counters() == Counters(frames=2, received=4, stored=1, refused={"unavailable": 2, "name_missing": 1})
    assert bench.counters().unaccounted == 0
    bench.take(at(NOW_MS, "lost"))
    bench.durable()
    assert [row[0][0][1] for row in bench.rows()] == ["kept", "lost"]
    assert bench.replayed().rows() == bench.rows()


def test_counters_that_begin_are_in_the_balance() -> None:
    """The row of 0 where a counter began is received and stored; it is kept again where the journal lost it."""
    bench = Bench()
    timed = field(1, 5.0) + field(2, NOW_MS) + field(3, NOW_MS - 400)
    body = request_with(field(2, timed))
    assert bench.take(body, Codec.REMOTE_WRITE_2).samples == 1
    bench.pipeline.give_up(0)
    del bench.journal[:]
    bench.take(body, Codec.REMOTE_WRITE_2)
    bench.durable()
    expected = Counters(frames=2, received=4, stored=2, refused={"unavailable": 2})
    assert bench.counters("http/remote_write_2") == expected
    assert sorted(row[1:] for row in bench.rows()) == [(NOW_MS - 400, 0), (NOW_MS, 0x4014000000000000)]
    assert bench.replayed().rows() == bench.rows()


def test_sources_have_their_own_tallies() -> None:
    """Counts are kept by edge and wire language."""
    bench = Bench()
    bench.take(at(NOW_MS))
    bench.take(request_2(UP, ts_ms=NOW_MS), Codec.REMOTE_WRITE_2)
    bench.take(at(NOW_MS), source=Source.SELF)
    assert {source: counters.stored for source, counters in bench.pipeline.tallies.items()} == {
        "http/remote_write_1": 1,
        "http/remote_write_2": 1,
        "self/remote_write_1": 1,
    }
    assert bench.pipeline.index.series_count == 1


def test_histograms_are_conserved_in_rows() -> None:
    """A native histogram is two rows in the tally and one histogram in the receipt, sound or not."""
    bench = Bench()
    sound, wrong = field(4, field(1, 7) + field(6, 7) + field(15, NOW_MS)), field(4, field(4, 99 << 1))
    receipt = bench.take(field(1, label("__name__", "h") + sound + wrong + sound))
    assert (receipt.histograms, receipt.samples, receipt.refused) == (2, 0, {"histogram_invalid": 1})
    assert bench.counters() == Counters(frames=1, received=6, stored=4, refused={"histogram_invalid": 2})


def test_notes_are_json() -> None:
    """A note in the journal can be read without Nissa."""
    bench = Bench()
    bench.take(series([("a", "b")]))
    assert msgspec.json.decode(bench.journal[0][0].body) == {
        "source": "http/remote_write_1",
        "refused": {"name_missing": 1},
    }


def test_nothing_kept_points_into_a_body() -> None:
    """Rows, labels, metadata and events outlive the body they came in; sanitize builds overwrite it at once."""
    bench = Bench()
    note = field(3, field(1, 1) + field(2, b"a") + field(4, b"What it is.") + field(5, b"bytes"))
    event = {"event_id": "e1", "description": "It fell over.", "timestamp_ms": NOW_MS}
    bodies = {
        Codec.REMOTE_WRITE_1: at(NOW_MS, "a") + note,
        Codec.REMOTE_WRITE_2: request_2([("__name__", "b"), ("c", "d")], ts_ms=NOW_MS),
        Codec.NISSA_EVENT: MessageCodec().encode_message("telemetry_event", event),
    }
    for codec, body in bodies.items():
        bench.take(bytes(snappy.compress_raw(body)), codec, encoding=Encoding.SNAPPY)
    bench.take(bytes(snappy.compress_raw(field(14, b"x" * 200))), encoding=Encoding.SNAPPY)
    bench.durable()
    assert [row[0] for row in bench.rows()] == [(("__name__", "a"),), (("__name__", "b"), ("c", "d"))]
    assert bench.pipeline.metadata["a"].help == "What it is."
    ((_, events),) = bench.pipeline.head.events
    assert (events.row(0)["event_id"], events.row(0)["description"]) == ("e1", "It fell over.")


def event(number: int, level: int, description: str, **attributes: str) -> bytes:
    """One event of nissa.v2."""
    said = {"event_id": f"e{number}", "level": level, "description": description, "timestamp_ms": NOW_MS}
    said["attributes"] = [{"name": name, "value": value} for name, value in attributes.items()]
    return MessageCodec().encode_message("telemetry_event", said)


def events_in(bench: Bench) -> list[dict[str, Any]]:
    """Every event of the head."""
    return [events.row(row) for _, events in bench.pipeline.head.events for row in range(len(events))]


def test_events_are_redacted_before_they_are_kept() -> None:
    """The journal holds the frame as received, the head what the rules leave; a replay leaves the same."""
    bench = Bench()
    receipt = bench.take(event(1, 3, "mail to a@b.org"), Codec.NISSA_EVENT)
    assert receipt.events == 1
    assert events_in(bench)[0]["description"] == "mail to [redacted:email]"
    assert b"a@b.org" in bench.journal[0][0].body
    assert bench.pipeline.redacted == {"email": 1}
    assert events_in(bench.replayed()) == events_in(bench)


def test_dropped_levels_are_counted_and_repeated() -> None:
    """Events of a level that the settings drop are refused in the counters; the sender is not blamed for them."""
    bench = Bench(Config(events=Events(drop_levels=("info", "critical"))))
    receipts = [bench.take(event(level, level, "x"), Codec.NISSA_EVENT) for level in (1, 2, 4, 1)]
    assert [receipt.events for receipt in receipts] == [0, 1, 0, 0]
    assert all(not receipt.refused for receipt in receipts)
    counters = bench.counters("http/nissa_event")
    assert (counters.received, counters.stored, counters.refused, counters.unaccounted) == (
        4,
        1,
        {"dropped_level": 3},
        0,
    )
    assert [row["event_id"] for row in events_in(bench)] == ["e2"]
    again = bench.replayed()
    assert again.pipeline.tallies == bench.pipeline.tallies
    assert events_in(again) == events_in(bench)
    # Of a frame that left nothing the journal keeps the counts alone.
    assert [frame.codec for frame, _ in bench.journal] == [Codec.TALLY, Codec.NISSA_EVENT, Codec.TALLY, Codec.TALLY]


def test_categories_dropped_under_load_are_counted_and_repeated() -> None:
    """The frame notes which categories were dropped, so that a replay, when the load has passed, drops the same."""
    bench = Bench()
    bench.pipeline.drop_categories = ("debug", "trace", "info")
    texts = (event(1, 1, "by level"), event(2, 3, "error"), event(3, 3, "by category", category="Debug"))
    receipts = [bench.take(body, Codec.NISSA_EVENT) for body in texts]
    assert [(receipt.events, receipt.refused) for receipt in receipts] == [(0, {}), (1, {}), (0, {})]
    bench.pipeline.drop_categories = ()
    assert bench.take(event(4, 1, "later"), Codec.NISSA_EVENT).events == 1
    counters = bench.counters("http/nissa_event")
    assert (counters.received, counters.stored, counters.refused) == (4, 2, {"dropped_category": 2})
    assert counters.unaccounted == 0
    assert [row["description"] for row in events_in(bench)] == ["error", "later"]
    again = bench.replayed()
    assert again.pipeline.tallies == bench.pipeline.tallies
    assert events_in(again) == events_in(bench)
