"""Sessions of browsers in the database: they end by themselves, on logout, and with a change of the user. Calls block.

A login always makes a new session, so a session that somebody planted before is worth nothing.
"""

from sqlalchemy import delete, func, insert, select

from nissa.access.roles import Principal, Via, read_role
from nissa.access.secret_tokens import csrf_token_of, digest_of, new_secret
from nissa.database.database import Database
from nissa.database.tables import access_sessions, access_users


def start_session(database: Database, user: str, now_ms: int, ttl_ms: int, sessions_max: int) -> str:
    """Open a session. Returns: its secret. sessions_max: of all users; beyond it the one that ends first goes."""
    secret = new_secret()
    row = {"digest": digest_of(secret), "user": user, "created_ms": now_ms, "expires_ms": now_ms + ttl_ms}
    with database.begin() as connection:
        connection.execute(delete(access_sessions).where(access_sessions.c.expires_ms <= now_ms))
        count = connection.execute(select(func.count()).select_from(access_sessions)).scalar() or 0
        if count >= sessions_max:
            soonest = (
                select(access_sessions.c.digest).order_by(access_sessions.c.expires_ms).limit(count - sessions_max + 1)
            )
            gone = [digest for (digest,) in connection.execute(soonest)]
            connection.execute(delete(access_sessions).where(access_sessions.c.digest.in_(gone)))
        connection.execute(insert(access_sessions), row)
    return secret


def end_session(database: Database, secret: str) -> None:
    """End a session."""
    with database.begin() as connection:
        connection.execute(delete(access_sessions).where(access_sessions.c.digest == digest_of(secret)))


def principal_of_session(database: Database, secret: str, now_ms: int) -> Principal | None:
    """The principal of a session, with the role that the user has now; None where it is none, or has ended."""
    wanted = (
        select(access_users.c.name, access_users.c.role)
        .join(access_sessions, access_sessions.c.user == access_users.c.name)
        .where(access_sessions.c.digest == digest_of(secret), access_sessions.c.expires_ms > now_ms)
    )
    with database.begin() as connection:
        row = connection.execute(wanted).mappings().first()
    if row is None:
        return None
    return Principal(row["name"], read_role(row["role"]), Via.SESSION, csrf_token=csrf_token_of(secret))
