"""Patterns that are searched for in text, with groups: RE2, in time linear in the text, whoever wrote the pattern."""

from typing import Any, Final

import re2

from nissa.model.errors import BadQuery
from nissa.model.units import MIB

PATTERN_CHARACTERS_MAX: Final = 4_096
MEMORY_BYTES_MAX: Final = 8 * MIB  # of one compiled pattern


def searched(pattern: str) -> Any:
    """The compiled pattern; it has ``search`` and ``groups``. Raises: BadQuery."""
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise BadQuery(f"a pattern of {len(pattern)} characters; at most {PATTERN_CHARACTERS_MAX} are allowed")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY_BYTES_MAX
    try:
        found = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise BadQuery(f"pattern {pattern[:200]!r} cannot be read: {text}") from None
    re2.purge()  # its own cache would hold it a second time
    return found
