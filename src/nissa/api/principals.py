"""Finds out who sends a request: a token, the session of a browser, a user that a trusted proxy names.

Answers of the database are kept for ``KEPT_MS``, so a token that is removed, or a role that changes, counts after that
time at the latest. While the database is away, whoever was known goes on for ``api.access.away_ttl``. Nothing is kept
of secrets that are none.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope as AsgiScope

from nissa.access.roles import NOBODY, ROLES, Principal, Via, read_role
from nissa.access.secret_tokens import CHARACTERS_MAX, digest_of
from nissa.access.sessions import principal_of_session
from nissa.access.tokens import principal_of_token
from nissa.config.access import Access
from nissa.database.database import Database
from nissa.model.errors import Unavailable

KEPT_MS: Final = 2_000
KEPT_MAX: Final = 10_000
COOKIE: Final = "nissa_session"
NAME_CHARACTERS_MAX: Final = 100

Find = Callable[[Database, str, int], Principal | None]


class Principals:
    """Principals by the headers of requests. Lives on the loop."""

    def __init__(
        self, access: Access, database: Callable[[], Database], now_ms: Callable[[], int], retry_ms: int
    ) -> None:
        """database: opens it; called in a worker thread. now_ms: wall clock, Unix milliseconds.

        retry_ms: for which it is not asked again about somebody known once it failed.
        """
        self._access, self._retry_ms = access, retry_ms
        self._database = database
        self._now_ms = now_ms
        self._away_ms = 0  # when the database last did not answer
        self._kept: dict[str, tuple[int, Principal]] = {}

    async def of(self, scope: AsgiScope, *, by_proxy: bool) -> Principal:
        """The principal of a request; NOBODY where it does not say, or lies. by_proxy: a trusted proxy passed it on.

        Raises: Unavailable where the database does not answer.
        """
        headers = Headers(scope=scope)
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return await self._found(token.strip(), principal_of_token)
        if kind.lower() == "token":  # Token token=…, as senders of incident events write it
            return await self._found(token.strip().removeprefix("token="), principal_of_token)
        if by_proxy and self._access.proxy_user_header:
            named = headers.get(self._access.proxy_user_header, "").strip()
            if named:
                return self._named(named, headers)
        session = session_of(headers)
        return await self._found(session, principal_of_session) if session else NOBODY

    def forget(self, secret: str) -> None:
        """Ask the database again about a secret."""
        self._kept.pop(digest_of(secret), None)

    def _named(self, name: str, headers: Headers) -> Principal:
        role = self._access.proxy_role
        if self._access.proxy_role_header:
            role = headers.get(self._access.proxy_role_header, role).strip().lower()
        if role not in ROLES or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
            return NOBODY
        return Principal(name, read_role(role), Via.PROXY)

    async def _found(self, secret: str, find: Find) -> Principal:
        if not secret or len(secret) > CHARACTERS_MAX:
            return NOBODY
        digest, now_ms = digest_of(secret), self._now_ms()
        until_ms, principal = self._kept.get(digest, (0, NOBODY))
        if now_ms < until_ms <= now_ms + KEPT_MS:
            return principal
        is_known = until_ms <= now_ms < until_ms + self._access.away_ttl_ms
        if is_known and self._away_ms <= now_ms < self._away_ms + self._retry_ms:
            return principal
        try:
            found = await asyncio.to_thread(lambda: find(self._database(), secret, now_ms))
        except Unavailable:
            self._away_ms = now_ms
            if is_known:
                return principal
            raise
        self._kept.pop(digest, None)
        if found is None:
            return NOBODY
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[digest] = (now_ms + KEPT_MS, found)
        return found


def session_of(headers: Headers) -> str:
    """The secret of the session in the cookie; empty where there is none."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
