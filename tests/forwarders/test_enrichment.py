"""Rules that give events attributes and levels."""

from pathlib import Path
from typing import Any

from nissa.config.events import EnrichmentRule, EventLookup, EventMatch
from nissa.forwarders.enrichment import Enrichment
from oracle.events import event_batch

ROW = {"time_ms": 5, "level": 1, "event_id": "", "packet_id": "", "attributes": {}}


def enriched(rules: list[EnrichmentRule], *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Events after the rules."""
    found = Enrichment(rules).applied(
        event_batch([{"source": "s", "description": "", **ROW, **row} for row in rows]), 0
    )
    return [found.row(place) for place in range(len(found))]


def test_a_source_gets_service_and_team_and_what_a_table_knows(tmp_path: Path) -> None:
    """A later rule sees what an earlier one gave; others stay as they are."""
    path = tmp_path / "owners.csv"
    path.write_text("service,team,pager\ntraining,morphogenetic,12\nother,x,\n")
    rules = [
        EnrichmentRule(EventMatch(sources=("tolaria*",)), set={"service": "training"}),
        EnrichmentRule(lookup=EventLookup(str(path), "service")),
    ]
    rows = enriched(
        rules, {"source": "tolaria-1"}, {"source": "x"}, {"source": "y", "attributes": {"service": "other"}}
    )
    assert [row["attributes"] for row in rows] == [
        {"service": "training", "team": "morphogenetic", "pager": "12"},
        {},
        {"service": "other", "team": "x"},
    ]


def test_what_the_sender_gave_stands_unless_it_is_replaced() -> None:
    """An attribute of the sender stays, unless the rule says ``replace``."""
    for replace, value in ((False, "own"), (True, "rule")):
        (row,) = enriched([EnrichmentRule(set={"a": "rule"}, replace=replace)], {"attributes": {"a": "own"}})
        assert row["attributes"] == {"a": value}


def test_ids_come_from_other_attributes_and_from_texts() -> None:
    """Events without them get none."""
    rules = [EnrichmentRule(copy={"trace_id": "traceId"}, extract={"request_id": "req=([0-9a-f]+)"})]
    rows = enriched(
        rules,
        {"attributes": {"traceId": "7"}, "description": "é req=ab12 x"},
        {"description": "req="},
        {"description": "req=1", "attributes": {"request_id": "mine"}},
    )
    assert [row["attributes"] for row in rows] == [
        {"traceId": "7", "trace_id": "7", "request_id": "ab12"},
        {},
        {"request_id": "mine"},
    ]


def test_levels_are_mapped() -> None:
    """The level of matching events is set; others keep theirs."""
    rule = EnrichmentRule(EventMatch(attributes={"severity": "fatal"}), level="critical")
    rows = enriched([rule], {"attributes": {"severity": "fatal"}}, {"level": 2})
    assert [row["level"] for row in rows] == [4, 2]
