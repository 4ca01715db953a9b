"""Roles and scopes, and the principal: the user or token that a request comes from.

    role       may
    viewer     read: queries, events, status, the stream
    operator   also acknowledge, silence, pin, force a mode, pause sinks
    admin      also delete, reload settings, manage users and tokens, read the audit log

A role includes those before it. The scope of a route limits tokens further: a token of the role operator and the scope
``query`` only reads.
"""

from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from nissa.model.errors import BadQuery


class Role(IntEnum):
    """Roles by what they include. ANYBODY: requests without a user."""

    ANYBODY = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As it is written."""
        return self.name.lower()


class Scope(StrEnum):
    """The purpose of a route. A token has some of them; each has a rate limit of its own."""

    QUERY = "query"
    CONTROL = "control"
    STREAM = "stream"
    INGEST = "ingest"


class Via(StrEnum):
    """The proof of who sent a request."""

    NOTHING = "nothing"
    LOOPBACK = "loopback"  # access control is off
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    PROXY = "proxy"
    OIDC = "oidc"  # of logins alone: sessions follow


ROLES: Final = ("viewer", "operator", "admin")
SCOPES: Final = tuple(scope.value for scope in Scope)
TOKEN_SCOPES: Final = (Scope.QUERY, Scope.CONTROL, Scope.STREAM)  # of a token without any named


class Principal(msgspec.Struct, frozen=True):
    """name: of the user or token. csrf_token: what changes by a session must carry."""

    name: str
    role: Role
    via: Via
    scopes: frozenset[Scope] = frozenset(Scope)
    csrf_token: str = ""

    @property
    def label(self) -> str:
        """As audit entries name it: ``ann``, ``token:ci``."""
        return f"token:{self.name}" if self.via is Via.TOKEN else self.name


NOBODY: Final = Principal("", Role.ANYBODY, Via.NOTHING)
LOOPBACK: Final = Principal("loopback", Role.ADMIN, Via.LOOPBACK)


def read_role(text: str) -> Role:
    """The role of a name. Raises: BadQuery."""
    if text not in ROLES:
        raise BadQuery(f"unknown role {text[:40]!r}: expected {', '.join(ROLES)}")
    return Role[text.upper()]


def read_scopes(texts: list[str]) -> tuple[Scope, ...]:
    """The scopes of their names; those of a token by default where there are none. Raises: BadQuery."""
    for text in texts:
        if text not in SCOPES:
            raise BadQuery(f"unknown scope {text[:40]!r}: expected {', '.join(SCOPES)}")
    return tuple(scope for scope in Scope if scope.value in texts) or TOKEN_SCOPES
