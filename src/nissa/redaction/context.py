"""Redacts logs of applications before they are journaled: the context by its keys, all texts by patterns.

    {"api_key": "k", "notes": ["a@b.org"]}  ──►  {"api_key": "[redacted:secret]", "notes": ["[redacted:email]"]}

Keys that contain one of ``SECRET_PARTS``, in any case and at any depth, lose their whole value. The patterns are those
of the settings, and addresses of machines. Only this path does so before the journal: other senders are redacted when
their events are stored.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from nissa.config.redaction import Action, Redaction, RedactionRule, compiled_pattern, rules_in_force

SECRET_PARTS: Final = ("pass", "token", "secret", "key", "auth", "email", "session", "cookie")
SECRET: Final = "[redacted:secret]"  # noqa: S105 - what stands instead of one
DEPTH_MAX: Final = 32
ADDRESSES: Final = RedactionRule(
    "ip",
    r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b|(?i)\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}\b",
)


class ContextRedaction:
    """Rules of one directory. Safe from any thread."""

    def __init__(self, redaction: Redaction, secret: bytes) -> None:
        """secret: of the directory; equal users get equal hashes in it. Raises: ConfigInvalid."""
        self._key = blake2b(secret, digest_size=32, person=b"nissa context").digest()
        rules = (*rules_in_force(redaction).patterns, ADDRESSES)
        self._rules = [(compiled_pattern(rule.pattern, "redaction.patterns"), self._replacing(rule)) for rule in rules]

    def text(self, text: str) -> str:
        """The text without what fits a pattern."""
        data = text.encode("utf-8", "replace")
        for pattern, replace in self._rules:
            data = pattern.sub(replace, data)
        return bytes(data).decode("utf-8", "replace")

    def value(self, value: Any, depth: int = 0) -> Any:
        """JSON without secrets; what lies deeper than ``DEPTH_MAX`` is left out."""
        if isinstance(value, str):
            return self.text(value)
        if depth >= DEPTH_MAX and isinstance(value, dict | list):
            return None
        if isinstance(value, dict):
            return {
                self.text(name): SECRET if is_secret(name) else self.value(one, depth + 1)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self.value(one, depth + 1) for one in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and len(repr(value)) >= 12:
            text = self.text(repr(value))  # a number of a card
            return value if text == repr(value) else text
        return value

    def hashed(self, text: str) -> str:
        """The hash of a user's name; an empty one stays."""
        return f"[hash:{blake2b(text.encode(), digest_size=8, key=self._key).hexdigest()}]" if text else ""

    def _replacing(self, rule: RedactionRule) -> Callable[[Any], bytes]:
        if rule.action is Action.HASH:
            return lambda found: self.hashed(found.group().decode("utf-8", "replace")).encode()
        mask = f"[redacted:{rule.name}]".encode()
        return lambda _found: mask


def is_secret(name: str) -> bool:
    """True if the name of a key gives its value away as a secret."""
    lower = name.lower()
    return any(part in lower for part in SECRET_PARTS)
