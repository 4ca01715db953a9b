"""Routes: which events a sink gets, and exact counts of the others."""

import numpy as np

from nissa.config.events import EventMatch, EventRoute
from nissa.forwarders.event_routes import EventRoutes, sampled
from nissa.forwarders.journal_events import FrameEvents
from oracle.events import event_batch, event_row

ROUTES = (
    EventRoute("noise", EventMatch(sources=("s0",)), keep_one_of=10),
    EventRoute("mine", EventMatch(sources=("s1",)), sinks=("a",)),
    EventRoute("late", EventMatch(sources=("s0", "s1")), sinks=()),
)


def frame_of(count: int, lsn: int = 9) -> FrameEvents:
    """Events of sources s0, s1, s2 in turn."""
    return FrameEvents(lsn, event_batch([event_row(5, number) for number in range(count)]), np.arange(count))


def test_the_first_route_decides() -> None:
    """Events left out are counted by route, events without a route are sent, and sampled events are marked."""
    left_out: dict[str, int] = {}
    found = EventRoutes(ROUTES, "a").chosen(frame_of(3_000), left_out)
    rows = [found.events.row(place) for place in range(len(found))]
    kept = [row for row in rows if row["source"] == "s0"]
    assert left_out == {"noise": 1_000 - len(kept)}
    assert 50 < len(kept) < 150
    assert {row["attributes"]["kept_one_of"] for row in kept} == {"10"}
    assert len(rows) == 2_000 + len(kept)
    assert all("kept_one_of" not in row["attributes"] for row in rows if row["source"] != "s0")
    assert [row["description"].split()[1] for row in rows] == [str(place) for place in found.places.tolist()]
    other: dict[str, int] = {}
    assert {"s1"} & {EventRoutes(ROUTES, "b").chosen(frame_of(9), other).events.source.text(0)} == set()
    assert other["mine"] == 3


def test_samples_are_the_same_whenever_they_are_sent() -> None:
    """Other frames have others; and no routes leave everything as it is."""
    first, again, other = (sampled(frame_of(500, lsn), 5).tolist() for lsn in (2**40, 2**40, 7))
    assert first == again != other
    assert 60 < sum(first) < 140
    frame = frame_of(3)
    assert EventRoutes((), "a").chosen(frame, {}) is frame
