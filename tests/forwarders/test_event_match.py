"""Conditions over events: all must hold."""

import pytest

from nissa.config.events import EventMatch
from nissa.forwarders.event_columns import EventColumns
from nissa.forwarders.event_match import EventMatcher
from oracle.events import event_batch

ROWS = [
    {"source": "tolaria-1", "level": 1, "description": "GET /health 200", "attributes": {"kind": "web", "n": "1"}},
    {"source": "tolaria-2", "level": 3, "description": "failed\nbadly", "attributes": {"kind": "batch"}},
    {"source": "kasmina", "level": 4, "description": "", "attributes": {}},
]
REST = {"time_ms": 5, "event_id": "", "packet_id": ""}


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (EventMatch(), [0, 1, 2]),
        (EventMatch(sources=("tolaria*",)), [0, 1]),
        (EventMatch(sources=("tolaria-?", "kas*")), [0, 1, 2]),
        (EventMatch(sources=("tolaria",)), []),
        (EventMatch(levels=("error", "critical")), [1, 2]),
        (EventMatch(attributes={"kind": "*"}), [0, 1]),
        (EventMatch(attributes={"kind": "w*", "n": "1"}), [0]),
        (EventMatch(attributes={"kind": "w*", "n": "2"}), []),
        (EventMatch(text="GET /h.*200"), [0]),
        (EventMatch(text="^$"), [2]),
        (EventMatch(sources=("tolaria*",), levels=("error",), text="badly"), [1]),
    ],
)
def test_events_that_meet_all_conditions(match: EventMatch, expected: list[int]) -> None:
    """Conditions on sources, levels, attributes and text must all hold."""
    columns = EventColumns(event_batch([{**REST, **row} for row in ROWS]))
    assert EventMatcher(match).rows(columns).nonzero()[0].tolist() == expected
