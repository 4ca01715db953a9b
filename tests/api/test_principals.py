"""The sender of a request is identified, with the database and without it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nissa.access.roles import Principal, Role, Scope
from nissa.access.tokens import ApiToken, add_token
from nissa.api.principals import KEPT_MS, Principals
from nissa.config.access import Access
from nissa.database.database import Database
from nissa.model.errors import Unavailable
from nissa.model.units import MINUTE_MS, SECOND_MS

RETRY_MS = 5 * SECOND_MS


@pytest.mark.parametrize("away_ttl_ms", [0, MINUTE_MS])
def test_a_token_while_the_database_is_away(database: Database, away_ttl_ms: int) -> None:
    """It is believed for ``api.access.away_ttl`` more, and the database is asked once per ``api.database_retry``."""
    secret = add_token(database, ApiToken("ci", Role.VIEWER, (Scope.QUERY,), 1, 0))
    now_ms, asked, is_away = [MINUTE_MS], [0], [False]

    def opened() -> Database:
        asked[0] += 1
        if is_away[0]:
            raise Unavailable("database: gone")
        return database

    principals = Principals(Access(True, away_ttl_ms=away_ttl_ms), opened, lambda: now_ms[0], RETRY_MS)
    scope: dict[str, Any] = {"type": "http", "headers": [(b"authorization", f"Bearer {secret}".encode())]}

    def known(after_ms: int) -> Principal:
        now_ms[0] = MINUTE_MS + after_ms
        return asyncio.run(principals.of(scope, by_proxy=False))

    def refused(work: Callable[[], object]) -> bool:
        try:
            work()
        except Unavailable:
            return True
        return False

    assert known(0).name == "ci"
    is_away[0] = True
    assert known(KEPT_MS - 1).name == "ci"
    assert asked[0] == 1
    assert refused(lambda: known(KEPT_MS)) is (away_ttl_ms == 0)
    assert asked[0] == 2
    if away_ttl_ms:
        assert known(KEPT_MS + RETRY_MS - 1).name == "ci"
        assert asked[0] == 2
        assert known(KEPT_MS + RETRY_MS).name == "ci"
        assert asked[0] == 3
    assert refused(lambda: known(KEPT_MS + away_ttl_ms))
