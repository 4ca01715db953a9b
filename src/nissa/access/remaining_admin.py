"""Refuses a change that leaves nobody who may manage users: only an account of the machine could undo it.

An admin is a user of that role with a password, or a token of that role with the scope ``control`` that is valid.
Users of an OpenID provider have no password: they cannot log in while it is away.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Select, select

from nissa.access.roles import Role, Scope
from nissa.database.tables import access_tokens, access_users
from nissa.model.errors import BadQuery


@contextmanager
def last_admin_stays(connection: Connection, now_ms: int) -> Iterator[None]:
    """Around changes in a transaction, which ends without them where they leave no admin. now_ms: 0: allow it.

    Raises: BadQuery.
    """
    if now_ms:
        _admins(connection, now_ms, locked=True)  # two at a time must not each leave the other one's
    yield
    if now_ms and not _admins(connection, now_ms, locked=False):
        raise BadQuery("this is the last admin: add another user or token of the role admin first")


def _admins(connection: Connection, now_ms: int, *, locked: bool) -> int:
    """Users and tokens that are admins. locked: nobody else changes them until the transaction ends (PostgreSQL)."""

    def rows(wanted: Select[*tuple[str, ...]]) -> list[tuple[str, ...]]:
        found = connection.execute(wanted.with_for_update() if locked else wanted)
        return [tuple(row) for row in found]

    users, tokens = access_users.c, access_tokens.c
    admins = rows(select(users.name).where(users.role == Role.ADMIN.word, users.password_hash != ""))
    holders = select(tokens.name, tokens.scopes).where(tokens.role == Role.ADMIN.word)
    alive = rows(holders.where((tokens.expires_ms == 0) | (tokens.expires_ms > now_ms)))
    return len(admins) + sum(Scope.CONTROL in scopes.split() for _, scopes in alive)
