"""The Events API: bodies with a fault, and the same event from several senders."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import msgspec
import pytest

from nissa.api.incident_event_routes import _taken, read_incident_event
from nissa.database.database import Database
from nissa.incidents.incident_store import IncidentLimits, IncidentStore
from nissa.incidents.lifecycle import Escalation
from nissa.incidents.reports import IncidentEvent, event_key
from nissa.model.errors import BadQuery

DEEP = 100_000


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"event_action": "explode"}', "event_action"),
        (b'{"event_action": "trigger", "dedup_key": 7}', "dedup_key"),
        (
            b'{"event_action": "trigger", "payload": {"custom_details": ' + b"[" * DEEP + b"]" * DEEP + b"}}",
            "recursion",
        ),
        (b'{"event_action": "trigger", "client": "\\ud800\\u0041"}', "surrogate"),
        (b"[1]", "object"),
        (b"\xff", "utf-8|malformed"),
    ],
)
def test_a_body_with_a_fault_is_refused(body: bytes, named: str) -> None:
    """With the field or the reason."""
    with pytest.raises(BadQuery, match=named):
        read_incident_event(body)


@pytest.mark.parametrize("key", ["k" * 513, "a\0b"])
def test_a_key_that_the_database_does_not_take_is_refused(key: str) -> None:
    """Too long, or with a zero character."""
    with pytest.raises(BadQuery, match="512 characters, none of them zero"):
        event_key(key)


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_the_same_event_at_the_same_moment_is_taken(database: Database, action: str) -> None:
    """Whoever comes second changes nothing, and is not refused."""
    store = IncidentStore(database, IncidentLimits(100, 10, 100))
    control = SimpleNamespace(store=lambda: store, escalation=Escalation())
    payload = {"summary": "x", "source": "s", "severity": "error"}
    trigger = read_incident_event(msgspec.json.encode({"event_action": "trigger", "payload": payload}))
    for turn in range(5):
        opened = _taken(control, trigger, f"k{turn}", "ann", 1)
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda _: _taken(control, IncidentEvent(action), f"k{turn}", "ann", 2), range(6)))  # noqa: B023
        assert {one.id for one in found if one is not None} == {opened.id}
        kinds = [entry.kind for entry in store.entries(opened.id)]
        assert kinds == ["opened", {"acknowledge": "acknowledged", "resolve": "resolved"}[action]]
