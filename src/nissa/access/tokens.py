"""API tokens in the database: name, role, scopes, end; of the secret only its digest. Calls block."""

from typing import Final

import msgspec
from sqlalchemy import delete, func, insert, select

from nissa.access.remaining_admin import last_admin_stays
from nissa.access.roles import Principal, Role, Scope, Via, read_role, read_scopes
from nissa.access.secret_tokens import PREFIX, digest_of, new_secret
from nissa.access.users import check_name
from nissa.database.database import Database
from nissa.database.tables import access_tokens, access_users
from nissa.model.errors import BadQuery

TOKENS_MAX: Final = 10_000
FIRST: Final = "first-start"


class ApiToken(msgspec.Struct, frozen=True):
    """A token as it may be shown. expires_ms: 0: never."""

    name: str
    role: Role
    scopes: tuple[Scope, ...]
    created_ms: int
    expires_ms: int


def add_token(database: Database, token: ApiToken) -> str:
    """Add a token. Returns: its secret, which is stored nowhere. Raises: BadQuery, Unavailable."""
    check_name(token.name, "token")
    secret = new_secret(PREFIX)
    row = {
        "name": token.name,
        "digest": digest_of(secret),
        "role": token.role.word,
        "scopes": " ".join(token.scopes),
        "created_ms": token.created_ms,
        "expires_ms": token.expires_ms,
    }
    with database.begin() as connection:
        taken = select(access_tokens.c.name).where(access_tokens.c.name == token.name)
        if connection.execute(taken).first() is not None:
            raise BadQuery(f"token {token.name} exists already")
        if (connection.execute(select(func.count()).select_from(access_tokens)).scalar() or 0) >= TOKENS_MAX:
            raise BadQuery(f"there are {TOKENS_MAX} tokens already, which is the limit")
        connection.execute(insert(access_tokens), row)
    return secret


def remove_token(database: Database, name: str, *, needs_admin_at_ms: int = 0) -> None:
    """Remove a token. needs_admin_at_ms: as for ``change_user``. Raises: BadQuery where there is none; Unavailable."""
    with database.begin() as connection, last_admin_stays(connection, needs_admin_at_ms):
        if connection.execute(delete(access_tokens).where(access_tokens.c.name == name)).rowcount == 0:
            raise BadQuery(f"no token {name[:100]!r}")


def tokens(database: Database) -> list[ApiToken]:
    """All tokens by name, expired ones too."""
    with database.begin() as connection:
        rows = connection.execute(select(access_tokens).order_by(access_tokens.c.name)).mappings().all()
    return [
        ApiToken(
            row["name"],
            read_role(row["role"]),
            read_scopes(row["scopes"].split()),
            row["created_ms"],
            row["expires_ms"],
        )
        for row in rows
    ]


def principal_of_token(database: Database, secret: str, now_ms: int) -> Principal | None:
    """The principal of a token; None where it is none, or has expired."""
    with database.begin() as connection:
        wanted = select(access_tokens).where(access_tokens.c.digest == digest_of(secret))
        row = connection.execute(wanted).mappings().first()
    if row is None or 0 < row["expires_ms"] <= now_ms:
        return None
    scopes = frozenset(read_scopes(row["scopes"].split()))
    return Principal(row["name"], read_role(row["role"]), Via.TOKEN, scopes)


def ingest_digests(database: Database) -> dict[str, int]:
    """Digest of each token that may send -> its end in Unix milliseconds, 0 for never."""
    with database.begin() as connection:
        rows = connection.execute(select(access_tokens)).mappings().all()
    return {row["digest"]: row["expires_ms"] for row in rows if Scope.INGEST in read_scopes(row["scopes"].split())}


def first_token(database: Database, now_ms: int) -> str:
    """The secret of a token for the first start; empty where there are users or tokens already."""
    with database.begin() as connection:
        for table in (access_users, access_tokens):
            if connection.execute(select(func.count()).select_from(table)).scalar():
                return ""
    return add_token(database, ApiToken(FIRST, Role.ADMIN, (Scope.QUERY, Scope.CONTROL, Scope.STREAM), now_ms, 0))
