"""What is taken out of events before they are kept: rules for names of attributes and for text.

    key rule      the whole name of an attribute fits      its whole value is replaced
    pattern rule  a part of a description or value fits    that part is replaced

A replacement masks, ``[redacted:NAME]``, or hashes under the data directory's secret, ``[hash:89abcdef01234567]``:
equal values stay equal within one directory, and nobody can look them up elsewhere. Patterns are RE2.
"""

from enum import Enum

import msgspec


class Action(Enum):
    """What stands in place of what fits."""

    MASK = "mask"
    HASH = "hash"


class RedactionRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: shown in replacements and counts. pattern: RE2."""

    name: str
    pattern: str
    action: Action = Action.MASK


# The last part of a name decides: "password" and "db.password" fit, "password_age" does not.
_PART = r"(?i)(?:.*[./_-])?"
KEY_RULES = (
    RedactionRule(
        "secret",
        _PART + r"(?:password|passwd|pwd|secret|token|api[_-]?key|authorization|(?:set[_-])?cookie|private[_-]?key"
        r"|session[_-]?id|credentials?|ssn|card[_-]?number|credit[_-]?card|iban)",
    ),
    RedactionRule(
        "person",
        _PART + r"(?:user[_-]?id|user[_-]?name|user|login|e?-?mail|e?mail[_-]?address|phone|phone[_-]?number"
        r"|client[_-]?ip|remote[_-]?addr|ip[_-]?address)",
        Action.HASH,
    ),
)
PATTERN_RULES = (
    RedactionRule("email", r"[\pL\pN._%+-]+@[\pL\pN-]+(?:\.[\pL\pN-]+)+"),
    RedactionRule("credentials", r"://[^/\s:@]+:[^/\s@]+@"),
    RedactionRule("bearer", r"[Bb]earer [A-Za-z0-9._~+/=-]{8,}"),
    RedactionRule("jwt", r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),
    RedactionRule("key_id", r"\bAKIA[0-9A-Z]{16}\b"),
    RedactionRule(
        "card", r"\b(?:(?:4\d|5[1-5]|6[05])\d\d[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}|3[47]\d\d[ -]?\d{6}[ -]?\d{5})\b"
    ),
    RedactionRule("assigned", r"(?i)\b(?:password|passwd|pwd|secret|api[_-]?key)\s*[=:]\s*[^\s,;]+"),
)


class Redaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """enabled: of every event, whatever its level. keys, patterns: in force in place of the defaults."""

    enabled: bool = True
    keys: tuple[RedactionRule, ...] = KEY_RULES
    patterns: tuple[RedactionRule, ...] = PATTERN_RULES
