"""Routing of events: which of them one sink gets, and how many of each route it does not.

The first route that an event matches decides about it; an event of no route goes to every sink. Of a route with
``keep_one_of: N`` about one in N goes on: which, follows from the place of the event in the journal, so that what is
sent again is the same. What is kept has the attribute ``kept_one_of``.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from nissa.config.events import EventRoute
from nissa.forwarders.event_columns import EventColumns, Rows
from nissa.forwarders.event_match import EventMatcher
from nissa.forwarders.journal_events import FrameEvents
from nissa.redaction.event_filter import take_events

KEPT_ONE_OF: Final = "kept_one_of"
# SplitMix64: the step of its state, and the finalizer that spreads neighbouring numbers.
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


class EventRoutes:
    """The routes as one sink sees them."""

    def __init__(self, routes: Sequence[EventRoute], sink: str) -> None:
        self._routes = [(route, EventMatcher(route.match), _goes_to(route, sink)) for route in routes]

    def chosen(self, found: FrameEvents, left_out: dict[str, int]) -> FrameEvents:
        """The events that the sink gets. left_out: the others are added to it by the name of their route."""
        if not self._routes:
            return found
        columns = EventColumns(found.events)
        undecided, kept = np.ones(len(columns), np.bool_), np.ones(len(columns), np.bool_)
        for route, matcher, goes in self._routes:
            rows = matcher.rows(columns) & undecided
            undecided &= ~rows
            out = rows if not goes else rows & ~sampled(found, route.keep_one_of)
            count = int(np.count_nonzero(out))
            if count:
                left_out[route.name] = left_out.get(route.name, 0) + count
                kept &= ~out
            if goes and route.keep_one_of > 1:
                marked = np.flatnonzero(rows & ~out)
                texts = [str(route.keep_one_of)] * len(marked)
                columns = columns.with_attribute(KEPT_ONE_OF, marked, texts, replace=True)
        events = columns.events
        if kept.all():
            return FrameEvents(found.lsn, events, found.places)
        rows_kept = np.flatnonzero(kept)
        return FrameEvents(found.lsn, take_events(events, rows_kept), found.places[rows_kept])

    def route_of(self, found: FrameEvents, row: int) -> EventRoute | None:
        """The route of one event; None where it has none."""
        columns = EventColumns(found.events)
        return next((route for route, matcher, _ in self._routes if matcher.rows(columns)[row]), None)


def _goes_to(route: EventRoute, sink: str) -> bool:
    return route.sinks is None or sink in route.sinks


def sampled(found: FrameEvents, one_of: int) -> Rows:
    """True for about one event in ``one_of``, by LSN and place."""
    if one_of == 1:
        return np.ones(len(found), np.bool_)
    mixed = found.places.astype(np.uint64) + np.uint64(found.lsn * _GOLDEN % 2**64)
    for shift, factor in _MIX:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    kept: Rows = (mixed ^ (mixed >> np.uint64(31))) % np.uint64(one_of) == 0
    return kept
