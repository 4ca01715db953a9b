"""Users in the database."""

from pathlib import Path

import pytest

from nissa.access.roles import Role
from nissa.access.users import add_user, change_user, login, remove_user, users
from nissa.database.database import Database
from nissa.model.errors import BadQuery

PASSWORD = "correct horse battery"


def test_a_user_from_add_to_remove(database: Database, tmp_path: Path) -> None:
    """A name is taken once; a change counts at once; a removed user is unknown."""
    add_user(database, "ann", PASSWORD, Role.VIEWER, 1)
    with pytest.raises(BadQuery, match="exists already"):
        add_user(database, "ann", PASSWORD, Role.ADMIN, 1)
    for name in ("", " ", "a b", "-x", "x" * 101, "é"):
        with pytest.raises(BadQuery, match="invalid name"):
            add_user(database, name, PASSWORD, Role.VIEWER, 1)
    assert [(user.name, user.role) for user in users(database)] == [("ann", Role.VIEWER)]
    assert change_user(database, "ann", password="another password", role=Role.ADMIN) is Role.VIEWER
    assert not login(database, "ann", PASSWORD)
    assert login(database, "ann", "another password")
    assert users(database)[0].role is Role.ADMIN
    remove_user(database, "ann")
    for attempt in (lambda: remove_user(database, "ann"), lambda: change_user(database, "ann", role=Role.ADMIN)):
        with pytest.raises(BadQuery, match="no user"):
            attempt()
    database.close()
    if database.kind == "sqlite":
        assert PASSWORD.encode() not in (tmp_path / "database.sqlite").read_bytes()
