"""Passwords of users as argon2id hashes (argon2-cffi, the parameters of RFC 9106 for little memory).

Checking takes about 50 ms and 64 MiB on purpose: callers bound how many run at a time.
"""

from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from nissa.model.errors import BadQuery

CHARACTERS_MIN: Final = 10
CHARACTERS_MAX: Final = 1_024

_HASHER: Final = PasswordHasher()


def hash_password(password: str) -> str:
    """The hash to store. Raises: BadQuery for a password that is too short or too long."""
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise BadQuery(f"a password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters, this one has {len(password)}")
    return _HASHER.hash(password)


def is_password(password: str, hashed: str | None) -> bool:
    """True if ``password`` is the one of a hash. hashed: None for a user that does not exist, which takes as long."""
    try:
        _HASHER.verify(_nobody() if hashed is None else hashed, password[:CHARACTERS_MAX])
    except (VerificationError, InvalidHashError):
        return False
    return hashed is not None


@cache
def _nobody() -> str:
    return _HASHER.hash("of nobody")
