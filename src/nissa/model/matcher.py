"""A matcher: one condition on one label, with Prometheus' meaning.

    =   the value is the text            =~  the whole value fits the pattern (RE2, anchored, ``.`` takes newlines too)
    !=  it is not                        !~  it does not

A series without the label has the empty value. Therefore a matcher that matches the empty string also matches series
without the label, and ``{a=""}`` means: no label ``a``.
"""

from enum import Enum

import msgspec

NAME_LABEL = "__name__"


class MatchOp(Enum):
    """Operator of a matcher; the value is its form in a selector."""

    EQUAL = "="
    NOT_EQUAL = "!="
    FITS = "=~"
    NOT_FITS = "!~"

    @property
    def negated(self) -> bool:
        """True for ``!=`` and ``!~``."""
        return self in (MatchOp.NOT_EQUAL, MatchOp.NOT_FITS)

    @property
    def by_pattern(self) -> bool:
        """True if ``value`` is a regular expression."""
        return self in (MatchOp.FITS, MatchOp.NOT_FITS)


class Matcher(msgspec.Struct, frozen=True, order=False):
    """One condition. name: label name; op: how; value: text or pattern to compare with."""

    name: str
    op: MatchOp
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.op.value}{quoted(self.value)}"


Selector = tuple[Matcher, ...]  # all of them must hold


def quoted(text: str) -> str:
    """``text`` as a selector's double-quoted string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
