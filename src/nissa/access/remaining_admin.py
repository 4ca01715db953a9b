"""Refuses a change that leaves nobody who may manage users: only an account of the machine could undo it.

An admin is a user of that role with a password, or a token of that role with the scope ``control`` that is valid. One
that stays is such a user, or such a token that never expires: any other one would lock the door behind itself.
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
    """Around changes in a transaction, which ends without them where they take an admin and leave none that stays.

    now_ms: 0: allow it. Raises: BadQuery.
    """
    if not now_ms:
        yield
        return
    before, _ = _admins(connection, now_ms, locked=True)  # two at a time must not each leave the other one's
    yield
    after, staying = _admins(connection, now_ms, locked=False)
    if after < before and not staying:
        what = "this is the last admin that does not expire"
        raise BadQuery(f"{what}: add another user, or a token without an end, of the role admin first")


def _admins(connection: Connection, now_ms: int, *, locked: bool) -> tuple[int, int]:
    """Number of admins, and of those that stay.

    locked: nobody else changes them until the transaction ends (PostgreSQL).
    """

    def rows(wanted: Select[*tuple[str | int, ...]]) -> list[tuple[str | int, ...]]:
        found = connection.execute(wanted.with_for_update() if locked else wanted)
        return [tuple(row) for row in found]

    users, tokens = access_users.c, access_tokens.c
    admins = rows(select(users.name).where(users.role == Role.ADMIN.word, users.password_hash != ""))
    holders = select(tokens.scopes, tokens.expires_ms).where(tokens.role == Role.ADMIN.word)
    alive = rows(holders.where((tokens.expires_ms == 0) | (tokens.expires_ms > now_ms)))
    ends = [expires_ms for scopes, expires_ms in alive if Scope.CONTROL in str(scopes).split()]
    return len(admins) + len(ends), len(admins) + ends.count(0)
