"""Settings of logins by an OpenID provider."""

from typing import Any

import msgspec
import pytest

from nissa.config.oidc import Oidc, check_oidc
from nissa.model.errors import ConfigInvalid

ROLES = ("viewer", "operator", "admin")
GOOD = Oidc(
    "https://idp.example/realms/a",
    "nissa",
    redirect_url="https://nissa.example:9471/api/v1/oidc/callback",
    admin_groups=("admins",),
)


def test_settings_that_work() -> None:
    """Nothing is needed where it is off; http is for loopback."""
    check_oidc(Oidc(), ROLES, enabled=False)
    check_oidc(GOOD, ROLES, enabled=True)
    check_oidc(msgspec.structs.replace(GOOD, issuer="http://127.0.0.1:5556"), ROLES, enabled=True)


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"client_id": ""}, "client_id"),
        ({"redirect_url": ""}, "redirect_url"),
        ({"redirect_url": "https://nissa.example/elsewhere"}, "redirect_url"),
        ({"redirect_url": "http://nissa.example/api/v1/oidc/callback"}, "redirect_url"),
        ({"issuer": "http://idp.example"}, "issuer"),
        ({"issuer": "https://u:p@idp.example"}, "issuer"),
        ({"scopes": ("profile",)}, "scopes"),
        ({"default_role": "root"}, "default_role"),
        ({"admin_groups": ()}, "default_role"),
    ],
)
def test_settings_that_do_not(change: dict[str, Any], setting: str) -> None:
    """The setting is named."""
    with pytest.raises(ConfigInvalid, match=rf"api\.access\.oidc\.{setting}"):
        check_oidc(msgspec.structs.replace(GOOD, **change), ROLES, enabled=True)


def test_access_control_is_needed() -> None:
    """Without it a login would open nothing."""
    with pytest.raises(ConfigInvalid, match="enabled"):
        check_oidc(GOOD, ROLES, enabled=False)
