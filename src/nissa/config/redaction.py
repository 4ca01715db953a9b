"""Redaction rules: they replace parts of events before these are stored, by attribute name and by text.

    key rule      the whole name of an attribute fits      its whole value is replaced
    pattern rule  a part of a description or value fits    that part is replaced

A replacement masks, ``[redacted:NAME]``, or hashes under the data directory's secret, ``[hash:89abcdef01234567]``:
equal values get equal hashes within one directory, which cannot be looked up elsewhere. Patterns are RE2 and run in
linear time.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any

import msgspec

from nissa.model.errors import ConfigInvalid

PATTERN_BYTES_MAX = 4_096
PATTERN_MEMORY_BYTES_MAX = 16 * 1024 * 1024
RULES_MAX = 100
_NAME = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)


class Action(Enum):
    """The replacement for matched text."""

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
    """enabled: of every event, whatever its level. defaults: whether the rules above stand behind keys and patterns."""

    enabled: bool = True
    defaults: bool = True
    keys: tuple[RedactionRule, ...] = ()
    patterns: tuple[RedactionRule, ...] = ()


def rules_in_force(redaction: Redaction) -> Redaction:
    """The same rules with nothing left to be understood: another version may have other defaults."""
    if not redaction.enabled:
        return Redaction(enabled=False, defaults=False)
    keys, patterns = (KEY_RULES, PATTERN_RULES) if redaction.defaults else ((), ())
    return Redaction(defaults=False, keys=redaction.keys + keys, patterns=redaction.patterns + patterns)


def check_redaction(redaction: Redaction) -> None:
    """Raise ConfigInvalid, naming the path, for the first rule that Nissa will not start with."""
    for kind, rules in (("keys", redaction.keys), ("patterns", redaction.patterns)):
        if len(rules) > RULES_MAX:
            raise ConfigInvalid(f"redaction.{kind}", f"{len(rules)} rules are over the limit of {RULES_MAX}")
        _check_rules(rules, f"redaction.{kind}")


def compiled_pattern(pattern: str, path: str) -> Any:
    """The pattern ready for use. path: of the setting. Raises ConfigInvalid for what RE2 does not take."""
    import re2  # here, as reading settings is part of every command

    try:
        text = pattern.encode()
    except UnicodeEncodeError as error:
        raise ConfigInvalid(path, f"pattern {pattern[:200]!r} is not UTF-8") from error
    if len(text) > PATTERN_BYTES_MAX:
        raise ConfigInvalid(path, f"pattern of {len(text)} bytes is over the limit of {PATTERN_BYTES_MAX}")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY_BYTES_MAX
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        what = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ConfigInvalid(path, f"pattern {pattern[:200]!r} cannot be read: {what}") from None


def _check_rules(rules: Sequence[RedactionRule], path: str) -> None:
    for place, rule in enumerate(rules):
        here = f"{path}[{place}]"
        if not _NAME.fullmatch(rule.name):
            allowed = "expected up to 64 of a-z, 0-9, dot, hyphen and underscore"
            raise ConfigInvalid(f"{here}.name", f"{allowed}, got {rule.name[:80]!r}")
        if compiled_pattern(rule.pattern, f"{here}.pattern").search(b"") is not None:
            raise ConfigInvalid(
                f"{here}.pattern",
                f"pattern {rule.pattern[:200]!r} matches the empty text, so it would match everywhere",
            )
