"""Answers of a database that goes away: the last one with its age, and no question in vain."""

from typing import Any

import pytest

from nissa.access.roles import Role, Scope
from nissa.access.tokens import ApiToken, add_token
from nissa.api.kept_answers import KEPT_MAX, KeptAnswers
from nissa.config.access import Access
from nissa.config.tree import Api
from nissa.model.errors import BadQuery, Unavailable
from oracle.backend_twin import BackendTwin, regular

NOW_MS = 1_732_190_009_000  # of the clock of tests/api
AWAY_MS = 5_000


class Outage:
    """A database, or none."""

    def __init__(self) -> None:
        self.is_away, self.asked, self.now_ms = False, 0, NOW_MS

    def answer(self) -> str:
        """Its answer. Raises: Unavailable."""
        self.asked += 1
        if self.is_away:
            raise Unavailable("database: gone")
        return f"answer {self.asked}"


def test_the_last_answer_with_its_age() -> None:
    """Fresh while the database answers; stale while it is away, asked again after a while; none for others."""
    outage = Outage()
    kept = KeptAnswers(lambda: outage.now_ms, AWAY_MS)
    assert kept.ask("a", outage.answer) == ("answer 1", [])
    outage.is_away = True
    found, warnings = kept.ask("a", outage.answer)
    assert found == "answer 1"
    assert warnings == ["stale since 2024-11-21T11:53:29Z: unavailable: database: gone; retry after 1 s"]
    with pytest.raises(Unavailable, match="gone"):
        kept.ask("b", outage.answer)
    assert outage.asked == 2  # not again within the time
    outage.now_ms += AWAY_MS
    assert kept.ask("a", outage.answer)[0] == "answer 1"
    outage.is_away = False
    outage.now_ms += AWAY_MS
    assert kept.ask("a", outage.answer) == ("answer 4", [])


def test_the_number_kept_is_bounded() -> None:
    """The oldest goes; a bad question is no outage."""
    outage = Outage()
    kept = KeptAnswers(lambda: outage.now_ms, AWAY_MS)
    for number in range(KEPT_MAX + 1):
        kept.ask(str(number), outage.answer)

    def wrong() -> Any:
        raise BadQuery("x")

    with pytest.raises(BadQuery):
        kept.ask("1", wrong)
    outage.is_away = True
    assert kept.ask(str(KEPT_MAX), outage.answer)[1]
    assert kept.ask("1", outage.answer)[1]
    with pytest.raises(Unavailable):
        kept.ask("0", outage.answer)


def test_pages_while_the_database_is_away(serve, database, more_facts):
    """A known user goes on and reads kept answers, marked as stale; a change is refused."""
    away = [False]

    def opened() -> Any:
        if away[0]:
            raise Unavailable("database: gone")
        return database

    more_facts["database"] = opened
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(access=Access(True)))
    token = add_token(database, ApiToken("admin", Role.ADMIN, tuple(Scope), NOW_MS, 0))
    headers = {"Authorization": f"Bearer {token}"}
    paths = ("/api/v1/audit", "/api/v1/users", "/api/v1/tokens")
    before = {path: client.get(path, headers=headers).json()["data"] for path in paths}
    away[0] = True
    for path in paths:
        found = client.get(path, headers=headers).json()
        assert found["data"] == before[path]
        assert found["warnings"][0].startswith("stale since 2024-11-21T11:53:29Z")
    assert client.post("/api/v1/tokens", data={"token": "x"}, headers=headers).status_code == 503
    assert client.get("/api/v1/users", headers={"Authorization": "Bearer nissa_x"}).status_code == 503
