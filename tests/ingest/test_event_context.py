"""Labels of a context on events: in front where the sender's win, behind where they do not."""

import random
from typing import Any

import pytest
from ingest.test_pipeline import NOW_MS, Bench

from nissa._proto import telemetry_pb2
from nissa.ingest.event_context import with_context
from nissa.model.columns import EventBatch
from nissa.model.context import Context
from nissa.model.errors import TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from oracle.wire import delimit


def frame_with(context: Context, count: int, rng: random.Random) -> Frame:
    """Events with up to three attributes each, in a context."""
    bodies = []
    for number in range(count):
        event = telemetry_pb2.TelemetryEvent(event_id=str(number), timestamp_ms=NOW_MS)
        for name in rng.sample(("job", "node", "x"), rng.randrange(4)):
            event.attributes.add(name=name, value=f"sent {number}")
        bodies.append(event.SerializeToString())
    return Frame(Codec.NISSA_EVENT, Encoding.IDENTITY, Source.HTTP, NOW_MS, delimit(bodies), True, context.encode())


def events_of(bench: Bench) -> EventBatch:
    ((_, events),) = bench.pipeline.head.events
    return events


@pytest.mark.parametrize("conflict", ["rename", "keep", "replace"])
@pytest.mark.parametrize("seed", range(3))
def test_every_event_has_the_labels(conflict: Any, seed: int) -> None:
    """The same as a dictionary merged for each event, also in a replay."""
    context = Context(labels={"job": "target", "zone": "z"}, conflict=conflict, tenant=("tenant", "acme"))
    frame = frame_with(context, 30, random.Random(seed))
    plain, bench = Bench(), Bench()
    plain.pipeline.take(frame_with(Context(), 30, random.Random(seed)), plain.append)
    bench.pipeline.take(frame, bench.append)
    sent, got = events_of(plain), events_of(bench)
    again = events_of(bench.replayed())
    for index in range(30):
        own, added = sent.row(index)["attributes"], {"job": "target", "zone": "z", "tenant": "acme"}
        expected = {**added, **own, "tenant": "acme"} if conflict == "keep" else {**own, **added}
        assert got.row(index) == {**sent.row(index), "attributes": expected}
        assert again.row(index) == got.row(index)


def test_no_rules_change_nothing() -> None:
    """Events come back as they are where the context adds nothing."""
    bench = Bench()
    bench.pipeline.take(frame_with(Context(stream="s"), 3, random.Random(1)), bench.append)
    events = events_of(bench)
    assert with_context(events, []) is events
    assert "stream" not in events.row(0)["attributes"]


def test_attributes_of_a_frame_have_a_bound() -> None:
    """A long label for very many events is refused before memory is taken, and counted."""
    bench = Bench()
    context = Context(labels={"zone": "z" * 60_000})
    with pytest.raises(TooLarge, match="bytes of attributes in one frame: 36"):
        bench.pipeline.take(frame_with(context, 600, random.Random(1)), bench.append)
    assert bench.counters("http/nissa_event").malformed == 1


def test_a_context_has_a_bound() -> None:
    """Over the setting the frame is refused; within it the labels are on its series."""
    bench = Bench()
    point = telemetry_pb2.MetricPoint(name="m", timestamp_ms=NOW_MS, value=1.0).SerializeToString()

    def take(context: Context) -> Receipt:
        frame = Frame(Codec.NISSA_POINT, Encoding.IDENTITY, Source.HTTP, NOW_MS, point, context=context.encode())
        return bench.pipeline.take(frame, bench.append)

    with pytest.raises(TooLarge, match=r"over the limit of 65536 \(ingest.frame_context_size_max\)"):
        take(Context(url="u" * 65_536))
    assert take(Context(labels={"job": "target"}, tenant=("tenant", "acme"))).samples == 1
    bench.durable()
    labels = {"__name__": "m", "exported_job": "nissa", "job": "target", "tenant": "acme"}
    assert [dict(row[0]) for row in bench.rows()] == [labels]
    assert bench.replayed().rows() == bench.rows()
