"""Users in the database, with a role and the hash of a password. Calls block."""

import re
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from nissa.access.oidc_identity import PREFIX
from nissa.access.passwords import hash_password, is_password
from nissa.access.remaining_admin import last_admin_stays
from nissa.access.roles import Role, read_role
from nissa.access.secret_tokens import digest_of
from nissa.database.database import Database
from nissa.database.tables import access_sessions, access_users
from nissa.model.errors import BadQuery

USERS_MAX: Final = 10_000

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


class User(msgspec.Struct, frozen=True):
    """A user as it may be shown."""

    name: str
    role: Role
    created_ms: int


def add_user(database: Database, name: str, password: str, role: Role, now_ms: int) -> None:
    """Add a user. Raises: BadQuery for a name that is taken or cannot be one; Unavailable."""
    check_name(name, "user")
    hashed = hash_password(password)
    with database.begin() as connection:
        if _row(connection, name) is not None:
            raise BadQuery(f"user {name} exists already")
        if (connection.execute(select(func.count()).select_from(access_users)).scalar() or 0) >= USERS_MAX:
            raise BadQuery(f"there are {USERS_MAX} users already, which is the limit")
        row = {"name": name, "password_hash": hashed, "role": role.word, "created_ms": now_ms}
        connection.execute(insert(access_users), row)


def provide_user(database: Database, name: str, role: Role, now_ms: int) -> None:
    """Add a user of the OpenID provider, who has no password, or set the role it has there. Raises: Unavailable.

    name: with the prefix of such users.
    """
    with database.begin() as connection:
        row = _row(connection, name)
        if row is None:
            if (connection.execute(select(func.count()).select_from(access_users)).scalar() or 0) >= USERS_MAX:
                raise BadQuery(f"there are {USERS_MAX} users already, which is the limit")
            fresh = {"name": name, "password_hash": "", "role": role.word, "created_ms": now_ms}
            connection.execute(insert(access_users), fresh)
        elif row["role"] != role.word:
            connection.execute(update(access_users).where(access_users.c.name == name), {"role": role.word})
            connection.execute(delete(access_sessions).where(access_sessions.c.user == name))


def change_user(
    database: Database, name: str, *, password: str = "", role: Role | None = None, needs_admin_at_ms: int = 0
) -> Role:
    """Set another password, role or both; the sessions of the user end. Returns: the role before.

    needs_admin_at_ms: now, to refuse what would leave nobody who may manage users; 0: allow it.
    Raises: BadQuery, Unavailable.
    """
    values: dict[str, Any] = {"password_hash": hash_password(password)} if password else {}
    if role is not None:
        values["role"] = role.word
    if name.startswith(PREFIX):
        raise BadQuery(f"the OpenID provider decides about {name[:100]!r} (api.access.oidc)")
    with database.begin() as connection, last_admin_stays(connection, needs_admin_at_ms):
        before = _existing_role(connection, name)
        if values:
            connection.execute(update(access_users).where(access_users.c.name == name), values)
        connection.execute(delete(access_sessions).where(access_sessions.c.user == name))
    return before


def change_own_password(database: Database, name: str, current: str, password: str, session: str) -> bool:
    """Set a password by who knows the current one; all sessions of the user end but one. session: secret of that one.

    Returns: False, with nothing changed, where ``current`` is not the password, or is no longer. Raises: BadQuery for a
    password that cannot be one, or is the current one; Unavailable.
    """
    with database.begin() as connection:
        row = _row(connection, name)
    known = "" if row is None else str(row["password_hash"])
    if not is_password(current, known or None):
        return False
    if password == current:
        raise BadQuery("the new password is the current one")
    values = {"password_hash": hash_password(password)}
    mine = access_users.c.name == name, access_users.c.password_hash == known
    others = access_sessions.c.user == name, access_sessions.c.digest != digest_of(session)
    with database.begin() as connection:
        if connection.execute(update(access_users).where(*mine), values).rowcount == 0:
            return False
        connection.execute(delete(access_sessions).where(*others))
    return True


def remove_user(database: Database, name: str, *, needs_admin_at_ms: int = 0) -> Role:
    """Remove a user and the sessions of it. Returns: the role it had. needs_admin_at_ms: as for ``change_user``.

    Raises: BadQuery where there is none; Unavailable.
    """
    with database.begin() as connection, last_admin_stays(connection, needs_admin_at_ms):
        before = _existing_role(connection, name)
        connection.execute(delete(access_sessions).where(access_sessions.c.user == name))
        connection.execute(delete(access_users).where(access_users.c.name == name))
    return before


def users(database: Database) -> list[User]:
    """All users by name."""
    with database.begin() as connection:
        rows = connection.execute(select(access_users).order_by(access_users.c.name)).mappings().all()
    return [User(row["name"], read_role(row["role"]), row["created_ms"]) for row in rows]


def login(database: Database, name: str, password: str) -> bool:
    """True if this is the password of this user. Takes as long where there is no such user."""
    with database.begin() as connection:
        row = _row(connection, name)
    return is_password(password, None if row is None else row["password_hash"] or None)


def check_name(name: str, what: str) -> None:
    """Raises: BadQuery for a name that is none."""
    if _NAME.fullmatch(name) is None:
        raise BadQuery(f"invalid name of a {what} {name[:100]!r}: expected letters, digits and ._@+-, at most 100")


def _existing_role(connection: Connection, name: str) -> Role:
    row = _row(connection, name)
    if row is None:
        raise BadQuery(f"no user {name[:100]!r}")
    return read_role(row["role"])


def _row(connection: Connection, name: str) -> Any:
    return connection.execute(select(access_users).where(access_users.c.name == name)).mappings().first()
