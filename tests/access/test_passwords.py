"""Passwords: argon2id, bounds, users that do not exist."""

import pytest

from nissa.access.passwords import hash_password, is_password
from nissa.model.errors import BadQuery


def test_only_the_password_fits():
    """The hash is argon2id with a salt of its own, and fits this password alone."""
    first, second = hash_password("correct horse battery"), hash_password("correct horse battery")
    assert first.startswith("$argon2id$")
    assert first != second
    assert is_password("correct horse battery", first)
    assert not is_password("correct horse batterx", first)
    assert not is_password("of nobody", None)
    assert not is_password("correct horse battery", "no hash")


@pytest.mark.parametrize("password", ["", "short", "x" * 2_000])
def test_lengths(password):
    """A password that is too short or too long is refused."""
    with pytest.raises(BadQuery, match="10 to 1024"):
        hash_password(password)
