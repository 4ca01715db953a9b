"""Events that raise alerts: counted by their dedup keys."""

import pytest

from nissa.model.errors import ConfigInvalid
from nissa.model.level import LEVELS
from nissa.promql.parse import read_expression
from nissa.rules import event_match
from nissa.rules.event_match import AlertingEvents, count_events
from nissa.rules.rule import RuleGroup
from nissa.rules.rule_file import parse_rule_file

FORM = (
    "event_alerts: [{name: crash, source: [w], text: boom, count: 2, window: 1m, expiry: 10m, by: [worker], "
    "severity: page%s}]"
)


def read(text: str) -> tuple[RuleGroup, ...]:
    """Groups of a text."""
    return parse_rule_file(text.encode(), "f", read_expression)


def event(source: str, description: str, **attributes: str) -> dict:
    """An event as a page has it."""
    return {"source": source, "description": description, "attributes": attributes}


def test_a_rule_is_read_with_what_it_matches() -> None:
    """Its expiry holds the alert; its labels are those of the short form."""
    (group,) = read(FORM % "")
    (rule,) = group.rules
    critical = frozenset({LEVELS.index("critical")})
    assert rule.events == AlertingEvents(frozenset({"w"}), critical, "boom", 60_000, 2, ("worker",))
    assert (rule.keep_firing_ms, rule.labels) == (600_000, {"severity": "page"})
    assert rule.expression == "events{source='w', level='critical', text='boom'}[60s] >= 2"
    for fault in (", level: [loud]", ", nope: 1", ", labels: {a-b: c}"):
        with pytest.raises(ConfigInvalid, match="f, line 1"):
            read(FORM % fault)


def test_events_are_counted_by_key(monkeypatch) -> None:
    """Keys with too few are left out; beyond the limit of keys they are counted together."""
    match = AlertingEvents(frozenset(), frozenset(), "", 60_000, 2, ("worker",))
    events = [event("a", "x", worker="1"), event("a", "x", worker="2"), event("a", "x", worker="1"), event("b", "y")]
    assert count_events(events, match) == [({"source": "a", "event": "x", "worker": "1"}, 2.0)]
    monkeypatch.setattr(event_match, "ALERTS_MAX", 1)
    assert count_events(events, match)[1] == ({"event": "(more)"}, 2.0)
