"""Settings of events: levels that are dropped, enrichment, and routing to sinks.

events:
  enrichment:
    - match: {sources: ["tolaria*"]}
      set: {service: training, team: morphogenetic}
    - lookup: {file: owners.csv, key: service}
    - copy: {trace_id: traceId}
    - extract: {request_id: "request=([0-9a-f-]+)"}
  routing:
    - {name: health checks, match: {text: "GET /health"}, keep_one_of: 100}
    - {name: debug, match: {levels: [unspecified]}, sinks: []}
"""

import re
from collections.abc import Collection
from typing import Annotated, Final

import msgspec

from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.model.level import LEVELS
from nissa.model.quantity import count

RULES_MAX: Final = 100  # of enrichment, and of routing
NAMES_MAX: Final = 64  # of attributes that one rule gives
ROUTE_NAME: Final = re.compile(r"[ -~]{1,64}", re.ASCII)


class EventMatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions that must all hold; none at all: every event.

    sources: patterns with * and ?, of which one fits. levels: words. attributes: name to such a pattern. text: RE2
    pattern found in the description.
    """

    sources: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    text: str = ""


class EventLookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CSV file with a header. key: its column that is looked up, by the attribute of that name, or ``source``.

    Its other columns become attributes. An empty file: no lookup.
    """

    file: str = ""
    key: str = "source"


class EnrichmentRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attributes and the level that events get. replace: also where they have such an attribute.

    set: name to value. copy: name to the name of the attribute whose value it gets. extract: name to an RE2 pattern
    with one group, found in the description. level: a word; empty: unchanged.
    """

    match: EventMatch = EventMatch()
    set: dict[str, str] = {}
    copy: dict[str, str] = {}
    extract: dict[str, str] = {}
    lookup: EventLookup = EventLookup()
    level: str = ""
    replace: bool = False


class EventRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events that match go to these sinks only; of them one of so many. The first route that matches decides.

    sinks: None: all.
    """

    name: str = ""
    match: EventMatch = EventMatch()
    sinks: tuple[str, ...] | None = None
    keep_one_of: Annotated[int, count(1, 1_000_000)] = 1


class Events(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """drop_levels: events of these levels are refused as ``dropped_level``. The rules are applied by sinks."""

    drop_levels: tuple[str, ...] = ()
    enrichment: tuple[EnrichmentRule, ...] = ()
    routing: tuple[EventRoute, ...] = ()


def check_events(events: Events, sinks: Collection[str], takers: Collection[str]) -> None:
    """Raise ConfigInvalid, naming the path, for the first rule that cannot be one.

    sinks: names of those there are. takers: of those among them that are sent events.
    """
    _check_levels(events.drop_levels, "events.drop_levels")
    matches = {"events.enrichment": [rule.match for rule in events.enrichment]}
    matches["events.routing"] = [route.match for route in events.routing]
    for path, conditions in matches.items():
        if len(conditions) > RULES_MAX:
            raise ConfigInvalid(path, f"{len(conditions)} rules; at most {RULES_MAX} are allowed")
        for number, match in enumerate(conditions):
            _check_match(match, f"{path}[{number}].match")
    for number, rule in enumerate(events.enrichment):
        _check_enrichment(rule, f"events.enrichment[{number}]")
    names: set[str] = set()
    for number, route in enumerate(events.routing):
        path = f"events.routing[{number}]"
        if not ROUTE_NAME.fullmatch(route.name) or route.name in names:
            raise ConfigInvalid(f"{path}.name", "expected a name of its own, of 1 to 64 printable characters")
        names.add(route.name)
        unknown = [name for name in route.sinks or () if name not in sinks]
        if unknown:
            raise ConfigInvalid(f"{path}.sinks", f"there is no sink {unknown[0][:80]!r}")
        deaf = [name for name in route.sinks or () if name not in takers]
        if deaf:
            expected = "expected sinks of type elasticsearch, or kafka with an events_topic"
            raise ConfigInvalid(f"{path}.sinks", f"no events are sent to the sink {deaf[0]!r}: {expected}")


def _check_levels(levels: tuple[str, ...], path: str) -> None:
    for level in levels:
        if level not in LEVELS:
            raise ConfigInvalid(path, f"{level[:80]!r} is none of {', '.join(LEVELS)}")


def _check_match(match: EventMatch, path: str) -> None:
    _check_levels(match.levels, f"{path}.levels")
    if match.text:
        _check_pattern(match.text, f"{path}.text", None)


def _check_enrichment(rule: EnrichmentRule, path: str) -> None:
    if rule.level:
        _check_levels((rule.level,), f"{path}.level")
    given = [*rule.set, *rule.copy, *rule.extract]
    if not (given or rule.lookup.file or rule.level):
        raise ConfigInvalid(path, "expected set, copy, extract, lookup or level")
    if len(given) > NAMES_MAX or "" in given:
        raise ConfigInvalid(path, f"expected at most {NAMES_MAX} names of attributes, none of them empty")
    if rule.lookup.file and not rule.lookup.key:
        raise ConfigInvalid(f"{path}.lookup.key", "expected the name of a column and attribute, or source")
    for name, pattern in rule.extract.items():
        _check_pattern(pattern, f"{path}.extract.{name[:80]}", 1)


def _check_pattern(pattern: str, path: str, groups: int | None) -> None:
    from nissa.model.text_search import searched  # here, as reading settings is part of every command

    try:
        found = searched(pattern).groups
    except BadQuery as error:
        raise ConfigInvalid(path, str(error)) from None
    if groups is not None and found != groups:
        raise ConfigInvalid(path, f"expected a pattern with one group, got {found}")
