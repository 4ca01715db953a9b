"""Opaque random secrets: API tokens, sessions. Only their SHA-256 is stored: 256 random bits need no slow hash.

nissa_2v8JrmCkq0b…    API token: a prefix that secret scanners find, and 43 characters
"""

import hashlib
import hmac
import secrets
from typing import Final

PREFIX: Final = "nissa_"
BYTES: Final = 32
CHARACTERS_MAX: Final = 128  # longer texts are no secret of ours

_CSRF: Final = b"csrf"


def new_secret(prefix: str = "") -> str:
    """A random secret that cannot be guessed."""
    return prefix + secrets.token_urlsafe(BYTES)


def digest_of(secret: str) -> str:
    """The digest that is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def csrf_token_of(session: str) -> str:
    """The token that changes by this session must carry; it does not give the session away."""
    return hmac.new(session.encode("utf-8", "replace"), _CSRF, hashlib.sha256).hexdigest()
