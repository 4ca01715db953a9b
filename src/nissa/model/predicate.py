"""Predicates: what one matcher says of one value.

Patterns run in RE2: time linear in the value whatever the pattern, and a bound on the memory of a compiled one.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import re2

from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp, Selector

Predicate = Callable[[str], bool]

PATTERN_BYTES_MAX = 64 * 1024
PATTERN_MEMORY_BYTES_MAX = 16 * 1024 * 1024
_META = frozenset(r"\.+*?()[]{}^$")


def takes(matcher: Matcher, value: str) -> bool:
    """Whether ``matcher`` holds for a label of this value; the empty value stands for a missing label."""
    if not matcher.op.by_pattern:
        return (value == matcher.value) is not matcher.op.negated
    return predicate(matcher.value)(value) is not matcher.op.negated


def texts_of(matcher: Matcher) -> Sequence[str] | None:
    """The finite list of texts a matcher names (``a``, ``a|b|c``), or None where only judging each value will do."""
    if not matcher.op.by_pattern:
        return (matcher.value,)
    predicate(matcher.value)  # a pattern that RE2 refuses is refused whichever way it would be judged
    return None if _META.intersection(matcher.value) else matcher.value.split("|")


@lru_cache(maxsize=256)
def predicate(pattern: str) -> Predicate:
    """The anchored judgement of ``pattern`` on one value. Raises BadQuery where RE2 does not take it."""
    if len(pattern) > PATTERN_BYTES_MAX:
        raise BadQuery(f"pattern of {len(pattern)} characters is over the limit of {PATTERN_BYTES_MAX}")
    fullmatch = _compiled(pattern).fullmatch
    if pattern == ".*":
        return lambda _: True
    if pattern == ".+":
        return bool
    if pattern.endswith(".*") and not _META.union("|").intersection(pattern[:-2]):
        prefix = pattern[:-2]
        return lambda value: value.startswith(prefix)
    return lambda value: fullmatch(value) is not None


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.never_capture = True
    options.max_mem = PATTERN_MEMORY_BYTES_MAX
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise BadQuery(f"pattern {pattern[:200]!r} cannot be read: {text}") from None


def is_selective(selector: Selector) -> bool:
    """Whether at least one matcher refuses the empty value: otherwise the selector means every series there is."""
    return any(not takes(matcher, "") for matcher in selector)


def equals(name: str, value: str) -> Matcher:
    """The matcher ``name="value"``."""
    return Matcher(name, MatchOp.EQUAL, value)
