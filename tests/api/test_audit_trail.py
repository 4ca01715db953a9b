"""Changes by requests in the audit log, and limits of how many there are."""

from typing import Any

import httpx
import pytest

from nissa.access.audit import entries, verify
from nissa.access.roles import Role, Scope
from nissa.access.tokens import ApiToken, add_token
from nissa.config.access import Access
from nissa.config.tree import Api
from nissa.database.database import Database
from nissa.model.errors import Unavailable
from oracle.backend_twin import BackendTwin, regular

NOW_MS = 1_732_190_009_000  # of the clock of tests/api


@pytest.fixture
def database(database: Database, more_facts: dict[str, Any]) -> Database:
    """The database of the API that is served next, which forces modes."""
    state = {"mode": "normal", "forced": False}

    def force(mode: str, _reason: str) -> dict[str, Any]:
        state.update(mode=mode, forced=True)
        return state

    more_facts |= {"database": lambda: database, "mode": lambda: state, "force_mode": force}
    return database


def served(serve, **access: Any) -> httpx.Client:
    """An API."""
    return serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(access=Access(**access)))


def test_changes_and_refused_ones_are_noted(serve, database):
    """An entry has who, from where, what, before and after; a refused change has its status; queries have none."""
    tokens = {role: add_token(database, ApiToken(role.word, role, tuple(Scope), NOW_MS, 0)) for role in list(Role)[1:]}
    client = served(serve, enabled=True)
    headers = {role: {"Authorization": f"Bearer {token}"} for role, token in tokens.items()}
    assert client.post("/api/v1/mode", data={"mode": "emergency"}, headers=headers[Role.VIEWER]).status_code == 403
    form = {"mode": "conservative", "reason": "why not"}
    assert client.post("/api/v1/mode", data=form, headers=headers[Role.OPERATOR]).status_code == 200
    assert client.post("/api/v1/mode", data=form).status_code == 401
    client.post("/api/v1/labels", headers=headers[Role.VIEWER])
    client.post("/api/v1/login", data={"user": "ann", "password": "planted-secret"})
    assert client.get("/api/v1/audit", headers=headers[Role.OPERATOR]).status_code == 403
    page = client.get("/api/v1/audit", headers=headers[Role.ADMIN]).json()["data"]["entries"]
    assert [(one["user"], one["action"], one["outcome"]) for one in page] == [
        ("ann", "session.login", "refused: 401"),
        ("token:operator", "mode.force", "done"),
        ("token:viewer", "mode.force", "refused: 403"),
    ]
    done = page[1]
    assert (done["address"], done["target"], done["at_ms"], done["via"]) == (
        "127.0.0.1",
        "conservative",
        NOW_MS,
        "token",
    )
    assert done["before"] == {"mode": "normal", "forced": False}
    assert done["after"] == {"mode": "conservative", "forced": True, "reason": "why not"}
    more = {"before": page[1]["id"], "action": "mode", "limit": 5}
    assert len(client.get("/api/v1/audit", params=more, headers=headers[Role.ADMIN]).json()["data"]["entries"]) == 1
    assert verify(database)[0] == 3
    assert "planted-secret" not in str(page)


def test_nobody_fills_the_log_without_a_password(serve, database):
    """Refusals by the limit have one entry per address; impossible names and logouts without a session have none."""
    client = served(serve, enabled=True, login_failures_per_minute_max=2)
    assert client.post("/api/v1/login", data={"user": "x" * 900_000, "password": "x"}).status_code == 400
    assert client.post("/api/v1/login", data={"password": "x"}).status_code == 400
    assert client.post("/api/v1/logout", headers={"Cookie": "nissa_session=none"}).status_code == 200
    for _ in range(8):
        client.post("/api/v1/login", data={"user": "ann", "password": "x"})
    page = entries(database)
    assert [(one["user"], one["outcome"]) for one in page] == [("ann", f"refused: {code}") for code in (429, 401, 401)]


def test_a_change_without_its_entry_is_told(serve, database, more_facts):
    """While the database is away a change is still made, and the missing entry is counted."""

    def away() -> Database:
        raise Unavailable("database: away")

    more_facts["database"] = away
    client = served(serve)
    assert client.post("/api/v1/mode", data={"mode": "conservative"}).status_code == 200
    assert client.get("/api/status").json()["queries"]["audit_failures"] == 1


def test_twenty_changes_a_minute(serve, database):
    """One more is refused with a time to wait, and changes nothing; queries go on."""
    client = served(serve)
    statuses = [client.post("/api/v1/mode", data={"mode": "conservative"}).status_code for _ in range(21)]
    assert statuses == [200] * 20 + [429]
    refused = client.post("/api/v1/mode", data={"mode": "normal"})
    assert refused.json()["errorType"] == "too_many_requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.get("/api/v1/labels").status_code == 200
