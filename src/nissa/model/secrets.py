"""Hides passwords and tokens in what is shown: settings, status, logs.

redis://user:pass@host/0     redis://user:<secret>@host/0
nats://token@host            nats://<secret>@host
http://host/?token=abc       http://host/?token=<secret>
"""

import re
from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "<secret>"
SECRET_NAMES: Final = frozenset(  # of settings
    (
        *("password", "bearer_token", "credentials", "key", "client_secret"),
        *("api_url", "auth_password", "routing_key", "secret", "token"),
    )
)

_USER_INFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.\-]*://)(?P<user>[^\s/?#@:\"']*:)?(?P<secret>[^\s/?#\"']+)@")
_PARAMETER = re.compile(
    r"(?P<name>[?&](?:password|passwd|token|secret|key|api_key|apikey|access_token|auth|sig|signature)=)[^&\s\"'#]+",
    re.IGNORECASE,
)


def hide_in_urls(text: str) -> str:
    """``text`` with passwords and tokens of the URLs in it replaced."""
    if "://" not in text:
        return text
    if "@" in text:
        text = _USER_INFO.sub(lambda found: f"{found['scheme']}{found['user'] or ''}{HIDDEN}@", text)
    return _PARAMETER.sub(lambda found: found["name"] + HIDDEN, text) if "=" in text else text


def hide_secrets(value: Any) -> Any:
    """A setting as it may be shown: a text, a number, or lists and mappings of these."""
    if isinstance(value, str):
        return hide_in_urls(value)
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if name in SECRET_NAMES and isinstance(one, str) and one else hide_secrets(one)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [hide_secrets(one) for one in value]
    return value
