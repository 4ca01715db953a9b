"""User and role out of an ID token of an OpenID provider (OpenID Connect Core 1.0, 3.1.3.7).

signature   by a key of the provider, by an asymmetric algorithm
iss aud     the configured issuer and client, and azp the client where there is one
exp iat     now, within LEEWAY_S
nonce       that of the login which asked for the token
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nissa.access.roles import Role, read_role
from nissa.config.oidc import Oidc
from nissa.model.errors import Unauthorized

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_S: Final = 60  # between the clocks of the provider and ours
PREFIX: Final = "oidc:"  # of names of users: local ones have no colon, so nobody takes their place
NAME_CHARACTERS_MAX: Final = 90
GROUPS_MAX: Final = 10_000  # of one user


class Identity(msgspec.Struct, frozen=True):
    """name: with its prefix."""

    name: str
    role: Role


def read_claims(token: str, keys: Any, oidc: Oidc, nonce: str, now_s: int) -> Mapping[str, Any]:
    """The claims of an ID token. keys: JSON of the provider's key set. Raises: Unauthorized with the reason."""
    from authlib.oidc.core import CodeIDToken
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=list(ALGORITHMS))
        expected = {
            "iss": {"essential": True, "value": oidc.issuer},
            "aud": {"essential": True, "value": oidc.client_id},
        }
        params = {"nonce": nonce, "client_id": oidc.client_id}
        claims = CodeIDToken(decoded.claims, decoded.header, options=expected, params=params)
        claims.validate(now=now_s, leeway=LEEWAY_S)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise Unauthorized(f"the ID token of the provider is refused: {_reason(error)}") from None
    return dict(decoded.claims)


def oidc_identity_of(claims: Mapping[str, Any], oidc: Oidc) -> Identity:
    """The user that claims name, with the highest of the roles that they give. Raises: Unauthorized."""
    name = claims.get(oidc.user_claim)
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise Unauthorized(f"the claim {oidc.user_claim} names no user (api.access.oidc.user_claim)")
    given = claims.get(oidc.groups_claim)
    groups = {given} if isinstance(given, str) else set()
    if isinstance(given, list):
        groups = {one for one in given[:GROUPS_MAX] if isinstance(one, str)}
    for role, wanted in (
        (Role.ADMIN, oidc.admin_groups),
        (Role.OPERATOR, oidc.operator_groups),
        (Role.VIEWER, oidc.viewer_groups),
    ):
        if not groups.isdisjoint(wanted):
            return Identity(PREFIX + name, role)
    if not oidc.default_role:
        raise Unauthorized(f"no group in the claim {oidc.groups_claim} has a role (api.access.oidc.viewer_groups)")
    return Identity(PREFIX + name, read_role(oidc.default_role))


def _reason(error: Exception) -> str:
    return str(getattr(error, "description", "") or error or type(error).__name__)[:200]
