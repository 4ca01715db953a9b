"""Replacements as Go's regular expressions expand them: ``$1``, ``${1}``, ``$name``, ``${name}``, ``$$``.

A name is the longest run of letters, digits and ``_``: ``$1x`` is the group named ``1x``. Groups that do not exist are
empty; a ``$`` that begins no name stands for itself.
"""

import re
from typing import Any

_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)


def expanded(replacement: str, match: Any) -> str:
    """The replacement with the groups of a match put in."""
    if "$" not in replacement:
        return replacement
    return _REFERENCE.sub(lambda reference: _group(reference, match), replacement)


def _group(reference: re.Match[str], match: Any) -> str:
    if reference[1]:
        return "$"
    name = reference[2] or reference[3]
    groups = match.re.groups
    if name.isdigit():
        number = int(name) if len(name) <= 9 else groups + 1
        return (match.group(number) or "") if number <= groups else ""
    return match.groupdict().get(name) or ""
