"""Settings of logins by an OpenID provider."""

import ipaddress
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from nissa.model.errors import ConfigInvalid
from nissa.model.quantity import duration
from nissa.model.units import MINUTE_MS, SECOND_MS

OIDC: Final = "api.access.oidc"
CALLBACK: Final = "/api/v1/oidc/callback"


class Oidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """issuer: address of the provider; empty: off. redirect_url: of this API, as browsers reach it.

    user_claim: names the user. groups_claim: a text or list; whoever is in several groups has the highest role.
    default_role: of users in none of these groups; empty: they are refused.
    """

    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    redirect_url: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    user_claim: str = "preferred_username"
    groups_claim: str = "groups"
    admin_groups: tuple[str, ...] = ()
    operator_groups: tuple[str, ...] = ()
    viewer_groups: tuple[str, ...] = ()
    default_role: str = ""
    timeout_ms: Annotated[int, duration(100, MINUTE_MS)] = 10 * SECOND_MS


def check_oidc(oidc: Oidc, roles: tuple[str, ...], *, enabled: bool) -> None:
    """Raise ConfigInvalid for settings with which nobody could log in, or anybody. roles: words of roles."""
    if not oidc.issuer:
        return
    if not enabled:
        raise ConfigInvalid(f"{OIDC}.issuer", "is set, but api.access.enabled is false")
    for name in ("client_id", "redirect_url"):
        if not getattr(oidc, name):
            raise ConfigInvalid(f"{OIDC}.{name}", "is missing")
    for name in ("issuer", "redirect_url"):
        _check_url(name, getattr(oidc, name))
    if urlsplit(oidc.redirect_url).path != CALLBACK:
        raise ConfigInvalid(f"{OIDC}.redirect_url", f"expected https://HOST{CALLBACK}, got {oidc.redirect_url[:200]!r}")
    if "openid" not in oidc.scopes:
        raise ConfigInvalid(f"{OIDC}.scopes", "lacks openid")
    if oidc.default_role and oidc.default_role not in roles:
        raise ConfigInvalid(f"{OIDC}.default_role", f"expected {', '.join(roles)}, got {oidc.default_role[:40]!r}")
    if not (oidc.admin_groups or oidc.operator_groups or oidc.viewer_groups or oidc.default_role):
        raise ConfigInvalid(f"{OIDC}.default_role", "is empty, and so are the groups of all roles: nobody could log in")


def _check_url(name: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise ConfigInvalid(f"{OIDC}.{name}", f"expected https:// (http:// on loopback alone), got {url[:200]!r}")
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ConfigInvalid(
            f"{OIDC}.{name}", f"expected an address without user, query and fragment, got {url[:200]!r}"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
