"""The last admin stays."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nissa.access.roles import Role, Scope
from nissa.access.tokens import ApiToken, add_token, remove_token
from nissa.access.users import add_user, change_user, remove_user, users
from nissa.config.database import DatabaseSettings
from nissa.database.database import Database, open_database
from nissa.model.errors import BadQuery

PASSWORD = "correct horse battery"
NOW_MS = 1_732_190_000_000


def test_a_change_that_leaves_no_admin_is_undone(tmp_path: Path) -> None:
    """The last admin is not removed and keeps its role; the command beside the daemon may remove it."""
    database = open_database(DatabaseSettings(), tmp_path)
    add_user(database, "ann", PASSWORD, Role.ADMIN, NOW_MS)
    for change in (
        lambda: remove_user(database, "ann", needs_admin_at_ms=NOW_MS),
        lambda: change_user(database, "ann", role=Role.VIEWER, needs_admin_at_ms=NOW_MS),
    ):
        with pytest.raises(BadQuery, match="last admin"):
            change()
    change_user(database, "ann", password="another password", needs_admin_at_ms=NOW_MS)
    assert users(database)[0].role is Role.ADMIN
    remove_user(database, "ann")
    database.close()


def test_a_token_that_expires_is_no_admin_that_stays(database: Database) -> None:
    """Nobody may be left with it; what takes no admin is allowed, also while there is none that stays."""

    def token(name: str, expires_ms: int) -> None:
        scopes = (Scope.QUERY, Scope.CONTROL)
        add_token(database, ApiToken(name, Role.ADMIN, scopes, NOW_MS, expires_ms))

    add_user(database, "ann", PASSWORD, Role.ADMIN, NOW_MS)
    add_user(database, "vera", PASSWORD, Role.VIEWER, NOW_MS)
    token("soon", NOW_MS + 60_000)
    with pytest.raises(BadQuery, match="last admin that does not expire"):
        remove_user(database, "ann", needs_admin_at_ms=NOW_MS)
    token("lasting", 0)
    remove_user(database, "ann", needs_admin_at_ms=NOW_MS)
    with pytest.raises(BadQuery, match="last admin"):
        remove_token(database, "lasting", needs_admin_at_ms=NOW_MS)
    remove_token(database, "lasting")
    remove_user(database, "vera", needs_admin_at_ms=NOW_MS)
    with pytest.raises(BadQuery, match="last admin"):
        remove_token(database, "soon", needs_admin_at_ms=NOW_MS)


def test_two_admins_that_remove_each_other(tmp_path: Path) -> None:
    """Whichever comes second is refused."""
    database = open_database(DatabaseSettings(), tmp_path)
    for name in ("ann", "bob"):
        add_user(database, name, PASSWORD, Role.ADMIN, NOW_MS)

    def remove(name: str) -> bool:
        try:
            remove_user(database, name, needs_admin_at_ms=NOW_MS)
        except BadQuery:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(remove, ("ann", "bob"))) == [False, True]
    assert len(users(database)) == 1
    database.close()
