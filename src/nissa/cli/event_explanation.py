"""nissa events explain: shows what the rules of a configuration do with an event, and which sinks get it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nissa.cli.fault import run_command

if TYPE_CHECKING:
    from nissa.config.tree import Config


def explain(
    event: Annotated[
        str, typer.Argument(help="JSON, as nissa events --json prints it; -: from standard input.", metavar="EVENT")
    ] = "-",
    config: Annotated[
        Path | None, typer.Option(help="The configuration file; the environment counts too.", metavar="FILE")
    ] = None,
) -> None:
    """Explain what enrichment and routing make of an event: each rule, and each sink that gets it or does not.

    Nothing is sent, and no daemon is asked. Of several events, one on each line, each is explained.

    \b
    Examples:
      nissa events explain --config nissa.yaml '{"source": "tolaria", "description": "GET /health"}'
      nissa events --last 1 --json | nissa events explain --config nissa.yaml
    """
    run_command("nissa events explain", lambda: _explain(event, config))


def _explain(event: str, path: Path | None) -> None:
    from os import environ

    from nissa.config.load import load_config

    config = load_config(path, environ)
    for number, line in enumerate(sys.stdin if event == "-" else [event]):
        if number:
            print()
        for text in explained(line, config):
            print(text)


def explained(text: str, config: "Config") -> Iterator[str]:
    """Lines about an event. text: its JSON. Raises: BadQuery, ConfigInvalid."""
    from nissa.cli.text_table import printable

    found = _frame_of(text)
    if _level(found) in config.events.drop_levels:
        yield f"dropped when it is received: events.drop_levels has {_level(found)}"
        return
    yield from map(printable, _rules(found, config))


def _rules(found: Any, config: "Config") -> Iterator[str]:
    from nissa.config.sinks import ElasticsearchSink, KafkaSink
    from nissa.forwarders.enrichment import Enrichment
    from nissa.forwarders.event_columns import EventColumns
    from nissa.forwarders.event_routes import EventRoutes
    from nissa.forwarders.journal_events import FrameEvents

    columns = EventColumns(found.events)
    for rule in Enrichment(config.events.enrichment).rules:
        after = rule.applied(columns, 0)
        changes = ", ".join(_changes(columns, after))
        yield f"{rule.path}: {changes or ('matches, changes nothing' if rule.fits(columns) else 'does not match')}"
        columns = after
    enriched = FrameEvents(found.lsn, columns.events, found.places)
    for name, sink in config.sinks.items():
        if not isinstance(sink, ElasticsearchSink | KafkaSink):
            yield f"sinks.{name}: gets no events"
            continue
        if sink.levels and _level(enriched) not in sink.levels:
            yield f"sinks.{name}: left out, its levels have no {_level(enriched)}"
            continue
        route = EventRoutes(config.events.routing, name).route_of(enriched, 0)
        by = f" by the route {route.name!r}" if route is not None else ""
        if route is not None and route.sinks is not None and name not in route.sinks:
            yield f"sinks.{name}: left out{by}"
        elif route is not None and route.keep_one_of > 1:
            yield f"sinks.{name}: one of {route.keep_one_of} is sent{by}"
        else:
            yield f"sinks.{name}: sent{by}"


def _changes(before: Any, after: Any) -> Iterator[str]:
    from nissa.model.level import LEVELS

    old, new = before.events.row(0), after.events.row(0)
    for name, value in new["attributes"].items():
        if old["attributes"].get(name) != value:
            yield f"{name} = {value!r}"
    if old["level"] != new["level"]:
        yield f"level {LEVELS[old['level']]} becomes {LEVELS[new['level']]}"


def _level(found: Any) -> str:
    from nissa.model.level import LEVELS

    return LEVELS[int(found.events.level[0])]


def _frame_of(text: str) -> Any:
    """One event as a frame of events. Raises: BadQuery."""
    import msgspec
    import numpy as np

    from nissa.forwarders.event_lines import TEXTS, event_of
    from nissa.forwarders.journal_events import FrameEvents
    from nissa.model.errors import BadQuery

    try:
        document = msgspec.json.decode(text, type=dict[str, Any])
        known = (*TEXTS, "time_ms", "@timestamp", "level", "attributes")
        if unknown := [name for name in document if name not in known]:
            raise ValueError(f"{unknown[0][:40]!r} is none of its fields: {', '.join(known)}")
        return FrameEvents(1, event_of(document), np.zeros(1, np.int64))
    except (msgspec.MsgspecError, ValueError, AttributeError, TypeError) as error:
        raise BadQuery(f"the event cannot be read: {error}; expected JSON as of nissa events --json") from None
