"""Alerts in the database: saving and loading, history, acknowledgements."""

import math
from collections.abc import Iterator

import pytest

from nissa.alerting.alert_store import Acknowledgement, AlertStore
from nissa.alerting.lifecycle import ActiveAlert, AlertChange, FoundAlert, Timing, advance, dropped
from nissa.database.database import Database
from nissa.model.errors import BadQuery

FOUND = FoundAlert({"alertname": "a", "job": "x"}, {"summary": "s"}, math.nan, "f")


@pytest.fixture
def store(database: Database) -> Iterator[AlertStore]:
    """An empty database."""
    opened = AlertStore(database)
    yield opened
    opened.close()


def step(store: AlertStore, alerts: dict[str, ActiveAlert], found: list[FoundAlert], at_ms: int) -> None:
    """One evaluation, saved."""
    moved = advance(alerts, found, at_ms, Timing(10))
    changes = [AlertChange("rule", one, alerts.get(one.fingerprint)) for one in moved]
    store.save("file;group", changes, at_ms if alerts and "pending" in {one.state for one in alerts.values()} else 0)


def test_states_are_read_back_after_every_step(store: AlertStore) -> None:
    """The database has the same alerts as memory: pending, firing and resolved ones, and no forgotten ones."""
    alerts: dict[str, ActiveAlert] = {}
    for at_ms, found in ((100, [FOUND]), (105, [FOUND]), (110, [FOUND]), (120, []), (900_121, [])):
        step(store, alerts, found, at_ms)
        loaded = store.load().get("file;group", {}).get("rule", {})
        assert {name: (one.state, one.fired_at_ms) for name, one in loaded.items()} == {
            name: (one.state, one.fired_at_ms) for name, one in alerts.items()
        }
    assert store.load() == {}
    assert store.evaluated_ms() == {"file;group": 105}
    past = store.history(0, 10**9, "", 10)
    assert [one.to_state for one in past] == ["inactive", "resolved", "firing", "pending"]
    assert (past[0].labels, past[0].value) == (FOUND.labels, None)
    assert store.history(0, 10**9, "other", 10) == []
    assert store.sweep(115) == 2
    assert len(store.history(0, 10**9, "f", 10)) == 2


def test_an_acknowledgement_ends_with_the_firing(store: AlertStore) -> None:
    """A later acknowledgement replaces it, and it is deleted when the alert resolves."""
    alerts: dict[str, ActiveAlert] = {}
    step(store, alerts, [FOUND], 100)
    step(store, alerts, [FOUND], 110)
    for user in ("ann", "bob"):
        store.acknowledge(Acknowledgement("f", 110, 111, user, "c"))
    assert store.acknowledgements()["f"].user == "bob"
    assert store.load()["file;group"]["rule"]["f"].acknowledged
    with pytest.raises(BadQuery, match="user"):
        store.acknowledge(Acknowledgement("f", 110, 111, "", "c"))
    step(store, alerts, [], 120)
    assert store.acknowledgements() == {}


def test_zero_characters_are_kept(store: AlertStore) -> None:
    """In labels and annotations, which senders choose."""
    alerts: dict[str, ActiveAlert] = {}
    step(store, alerts, [FoundAlert({"alertname": "a\0b"}, {"summary": "\0"}, 1.0, "f")], 100)
    (found,) = store.load()["file;group"]["rule"].values()
    assert (found.labels, found.annotations) == ({"alertname": "a\0b"}, {"summary": "\0"})


def test_alerts_that_are_dropped_are_forgotten(store: AlertStore) -> None:
    """The alert and its acknowledgement are deleted, and the history has the transition to inactive."""
    alerts: dict[str, ActiveAlert] = {}
    step(store, alerts, [FOUND], 100)
    step(store, alerts, [FOUND], 110)
    store.acknowledge(Acknowledgement("f", 110, 111, "ann", ""))
    store.save("file;group", [AlertChange("rule", one, None) for one in dropped(alerts, {"f": "firing"}, 120)], 0)
    assert (store.load(), store.acknowledgements(), alerts) == ({}, {}, {})
    (last,) = store.history(115, 10**9, "f", 10)
    assert (last.from_state, last.to_state) == ("firing", "inactive")
