"""API tokens in the database."""

from pathlib import Path

import pytest

from nissa.access.roles import Role, Scope, read_scopes
from nissa.access.tokens import ApiToken, add_token, first_token, principal_of_token, remove_token, tokens
from nissa.database.database import Database
from nissa.model.errors import BadQuery


def test_a_token_from_add_to_remove(database: Database, tmp_path: Path) -> None:
    """The secret is given once and stored nowhere; it ends with its time, or when it is removed."""
    secret = add_token(database, ApiToken("ci", Role.OPERATOR, (Scope.QUERY,), 1, 100))
    with pytest.raises(BadQuery, match="exists already"):
        add_token(database, ApiToken("ci", Role.VIEWER, (Scope.QUERY,), 1, 0))
    found = principal_of_token(database, secret, 99)
    assert found is not None
    assert (found.label, found.role, found.scopes) == ("token:ci", Role.OPERATOR, {Scope.QUERY})
    assert principal_of_token(database, secret, 100) is None
    assert principal_of_token(database, secret[:-1], 1) is None
    assert [token.name for token in tokens(database)] == ["ci"]
    remove_token(database, "ci")
    assert principal_of_token(database, secret, 99) is None
    with pytest.raises(BadQuery, match="no token"):
        remove_token(database, "ci")
    database.close()
    if database.kind == "sqlite":
        assert secret.encode() not in (tmp_path / "database.sqlite").read_bytes()


def test_the_first_token_is_made_once(database: Database) -> None:
    """Without users and tokens, the first start makes an admin token; the second start does not."""
    found = principal_of_token(database, first_token(database, 1), 2)
    assert found is not None
    assert found.role is Role.ADMIN
    assert first_token(database, 2) == ""


def test_scopes_are_words_of_the_list() -> None:
    """An unknown scope is refused; none named are those of people."""
    assert Scope.INGEST not in read_scopes([])
    assert read_scopes(["ingest"]) == (Scope.INGEST,)
    with pytest.raises(BadQuery, match="unknown scope"):
        read_scopes(["all"])
