"""Predicates: evaluate one matcher for one label value.

Patterns run in RE2, in time linear in the value. RE2 caches states while it runs, up to a given amount of memory; a
compiled pattern counts with all of it, and the cache of compiled patterns is limited by the sum. Patterns that are
lists of texts or a prefix (``a|b``, ``a.*``) need no RE2.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import re2

from nissa.model.errors import BadQuery
from nissa.model.matcher import Matcher, MatchOp, Selector
from nissa.model.units import KIB, MIB

Predicate = Callable[[str], bool]

PATTERN_BYTES_MAX = 64 * KIB
PATTERN_MEMORY_BYTES = 2 * MIB  # of a compiled pattern, and so much more for each of its bytes:
PATTERN_MEMORY_BYTES_PER_BYTE = 128
PATTERNS_MEMORY_BYTES_MAX = 32 * MIB  # of all that are kept
_META = frozenset(r"\.+*?()[]{}^$")


def takes(matcher: Matcher, value: str) -> bool:
    """True if ``matcher`` holds for a label of this value; the empty value stands for a missing label."""
    if not matcher.op.by_pattern:
        return (value == matcher.value) is not matcher.op.negated
    return predicate(matcher.value)(value) is not matcher.op.negated


def literal_values(matcher: Matcher) -> Sequence[str] | None:
    """The finite list of texts a matcher names (``a``, ``a|b|c``), or None where only judging each value will do."""
    if not matcher.op.by_pattern:
        return (matcher.value,)
    return None if _META.intersection(matcher.value) else matcher.value.split("|")


def predicate(pattern: str) -> Predicate:
    """The anchored judgement of ``pattern`` on one value. Raises BadQuery where RE2 does not take it."""
    if len(pattern) > PATTERN_BYTES_MAX:
        raise BadQuery(f"pattern of {len(pattern)} characters is over the limit of {PATTERN_BYTES_MAX}")
    if pattern == ".*":
        return lambda _: True
    if pattern == ".+":
        return bool
    if not _META.intersection(pattern):
        return frozenset(pattern.split("|")).__contains__
    if pattern.endswith(".*") and not _META.union("|").intersection(pattern[:-2]):
        prefix = pattern[:-2]
        return lambda value: value.startswith(prefix)
    return PATTERNS.find(pattern)


class Patterns:
    """Compiled patterns, the latest used ones. Safe from any thread."""

    def __init__(self, bytes_max: int = PATTERNS_MEMORY_BYTES_MAX) -> None:
        """bytes_max: of all of them together, each counted with the memory RE2 may come to take for it."""
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Predicate, int]] = OrderedDict()
        self.taken_bytes = 0

    def find(self, pattern: str) -> Predicate:
        """The predicate of ``pattern``, compiled unless it is cached. Raises: BadQuery."""
        with self._lock:
            kept = self._kept.get(pattern)
            if kept is not None:
                self._kept.move_to_end(pattern)
                return kept[0]
        memory_bytes = PATTERN_MEMORY_BYTES + PATTERN_MEMORY_BYTES_PER_BYTE * len(pattern.encode())
        fullmatch = _compiled(pattern, memory_bytes).fullmatch

        def fits(value: str) -> bool:
            return fullmatch(value) is not None

        with self._lock:
            if pattern not in self._kept:
                self._kept[pattern] = (fits, memory_bytes)
                self.taken_bytes += memory_bytes
            while self.taken_bytes > self._bytes_max:
                self.taken_bytes -= self._kept.popitem(last=False)[1][1]
        return fits


PATTERNS = Patterns()


def _compiled(pattern: str, memory_bytes: int) -> Any:
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.never_capture = True
    options.max_mem = memory_bytes
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise BadQuery(f"pattern {pattern[:200]!r} cannot be read: {text}") from None
    re2.purge()  # its own cache holds 128 patterns, however large
    return compiled


def is_selective(selector: Selector) -> bool:
    """True if at least one matcher refuses the empty value: otherwise the selector means every series there is."""
    return any(not takes(matcher, "") for matcher in selector)


def equals(name: str, value: str) -> Matcher:
    """The matcher ``name="value"``."""
    return Matcher(name, MatchOp.EQUAL, value)
