"""ID tokens: those of the provider for this login are believed, and no others."""

import hmac
from base64 import urlsafe_b64encode
from typing import Any

import pytest

pytest.importorskip("authlib", reason="authlib is not installed: ID tokens are NOT tested")
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from nissa.access.oidc_identity import oidc_identity_of, read_claims
from nissa.access.roles import Role
from nissa.config.oidc import Oidc
from nissa.model.errors import Unauthorized

NOW_S = 1_732_190_009
OIDC = Oidc("https://idp.example", "nissa", redirect_url="https://n/api/v1/oidc/callback", admin_groups=("root",))
KEY = RSAKey.generate_key(2048, {"kid": "one"})
SHARED = b'{"alg":"HS256","kid":"one"}'
KEYS = KeySet([KEY]).as_dict(private=False)
GOOD: dict[str, Any] = {
    "iss": "https://idp.example",
    "aud": "nissa",
    "sub": "1",
    "exp": NOW_S + 300,
    "iat": NOW_S,
    "nonce": "n",
    "preferred_username": "ann",
    "groups": ["root"],
}


def text_of(content: bytes) -> str:
    """In base64 as tokens have it."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(claims: dict[str, Any], key: Any = KEY, algorithm: str = "RS256") -> str:
    """A token."""
    header = {"alg": algorithm, "kid": "one"}
    return jwt.encode(header, claims, key, algorithms=["RS256", "ES256", "HS256", "none"])


def test_the_token_of_this_login() -> None:
    """All claims fit: also with several audiences, of which the client is the authorized party."""
    assert read_claims(signed(GOOD), KEYS, OIDC, "n", NOW_S)["preferred_username"] == "ann"
    assert read_claims(signed({**GOOD, "aud": ["nissa", "b"], "azp": "nissa"}), KEYS, OIDC, "n", NOW_S)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://idp.example/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": []},
        {"aud": ["nissa", "b"], "azp": "b"},
        {"exp": NOW_S - 61},
        {"exp": None},
        {"iat": NOW_S + 120},
        {"nonce": "m"},
        {"nonce": None},
    ],
)
def test_other_tokens_are_refused(change: dict[str, Any]) -> None:
    """Another issuer, audience or party, a token that has expired or is of the future, one of another login."""
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(Unauthorized, match="ID token"):
        read_claims(signed(claims), KEYS, OIDC, "n", NOW_S)


def test_signatures_of_others_are_refused() -> None:
    """Another key, no signature, and the public key taken for a shared secret."""
    head, body, _ = signed(GOOD).split(".")
    shared = text_of(SHARED) + "." + body
    mark = hmac.digest(KEY.as_pem(private=False), shared.encode(), "sha256")
    for token in (
        signed(GOOD, RSAKey.generate_key(2048, {"kid": "one"})),
        signed(GOOD, ECKey.generate_key("P-256"), "ES256"),
        f"{shared}.{text_of(mark)}",
        f"{head}.{body}.",
        f"eyJhbGciOiJub25lIn0.{body}.",
        "x",
        "",
    ):
        with pytest.raises(Unauthorized, match="ID token"):
            read_claims(token, KEYS, OIDC, "n", NOW_S)


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["a", "root", "ops"]}, Role.ADMIN),
        ({"groups": "ops"}, Role.OPERATOR),
        ({"groups": ["a", 1, None]}, Role.VIEWER),
        ({}, Role.VIEWER),
        ({"groups": {"root": 1}}, Role.VIEWER),
    ],
)
def test_the_highest_role_counts(claims: dict[str, Any], role: Role) -> None:
    """Of several groups; those without one have the default, or none."""
    oidc = Oidc(admin_groups=("root",), operator_groups=("ops",), default_role="viewer")
    found = oidc_identity_of({"preferred_username": "ann", **claims}, oidc)
    assert (found.name, found.role) == ("oidc:ann", role)
    if role is Role.VIEWER:
        with pytest.raises(Unauthorized, match="has a role"):
            oidc_identity_of({"preferred_username": "ann", **claims}, Oidc(admin_groups=("root",)))


@pytest.mark.parametrize("name", [None, "", 5, "x" * 91, "a\nb"])
def test_a_user_needs_a_name(name: Any) -> None:
    """A text of one line."""
    with pytest.raises(Unauthorized, match="names no user"):
        oidc_identity_of({"preferred_username": name, "groups": ["root"]}, OIDC)
