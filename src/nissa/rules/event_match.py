"""Events that raise an alert, as a rule file writes them, and how they are counted.

    event_alerts:
      - name: process_crash
        level: [critical]                    none: critical; others: unspecified, info, warning, error
        source: [simulation_worker]          none: all
        text: crash                          part of the description or the event id, in any case
        count: 1                             so many within the window …
        window: 5m
        expiry: 15m                          … fire, until there are fewer for this long
        by: [worker]                         attributes that make it another alert, beside source and description

The labels ``source``, ``event`` (the description) and the attributes of ``by`` are the dedup key: the same event again
keeps the same alert firing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from nissa.rules.queries import RuleSample

ALERTS_MAX: Final = 10_000  # of one rule
VALUE_CHARS_MAX: Final = 1_000
OVERFLOW: Final = "(more)"


class AlertingEvents(msgspec.Struct, frozen=True):
    """Events of a rule. sources, levels: empty for all. window_ms: looked back. count: needed. by: attributes."""

    sources: frozenset[str]
    levels: frozenset[int]
    text: str
    window_ms: int
    count: int
    by: tuple[str, ...]


def count_events(events: Iterable[Mapping[str, Any]], match: AlertingEvents) -> list[RuleSample]:
    """A series for each dedup key with events enough; its value is their number.

    Beyond ``ALERTS_MAX`` keys, further events are counted together under the event ``(more)``.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for event in events:
        attributes = event.get("attributes") or {}
        key: tuple[str, ...] = (str(event.get("source", "")), str(event.get("description", "")))
        key += tuple(str(attributes.get(name, "")) for name in match.by)
        if key not in counts and len(counts) >= ALERTS_MAX:
            key = ("", OVERFLOW, *("" for _ in match.by))
        counts[key] += 1
    names = ("source", "event", *match.by)
    found = []
    for found_key, count in counts.items():
        if count >= match.count:
            labels = {name: value[:VALUE_CHARS_MAX] for name, value in zip(names, found_key, strict=True) if value}
            found.append(RuleSample(labels, float(count)))
    return found
