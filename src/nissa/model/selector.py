"""Parses a selector such as ``up{job="api", path=~"/v1/.*"}`` into matchers.

The grammar is that of promql-parser. Two checks come before it:

* Its parser recurses: an expression nested some thousand deep overruns the C stack and ends the process. A selector
  nests nothing, so the *skeleton* (the text without what is quoted) must look like one before the parser sees it.
* Its length is bounded.

One check comes after it: RE2 compiles patterns here, so that an invalid one is refused with the query, not later.
"""

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import promql_parser

from nissa.model.errors import BadQuery
from nissa.model.matcher import NAME_LABEL, Matcher, MatchOp, Selector
from nissa.model.predicate import equals, is_selective, takes

_Parsed = TypeVar("_Parsed")

SELECTOR_BYTES_MAX = 256 * 1024
SELECTORS_MAX = 256  # in one question
MATCHERS_MAX = 1_024  # in one question, over all its selectors

# What is quoted, or a comment. Each alternative begins with a character of its own: one way to match, linear time.
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`|#[^\n]*')
_SKELETON = re.compile(r"\s*[A-Za-z_:][\w:]*\s*|\s*(?:[A-Za-z_:][\w:]*\s*)?\{[^{}()\[\]]*\}\s*", re.ASCII)
_OPS = (  # pairs, as the parser's own words cannot be keys
    (promql_parser.MatchOp.Equal, MatchOp.EQUAL),
    (promql_parser.MatchOp.NotEqual, MatchOp.NOT_EQUAL),
    (promql_parser.MatchOp.Re, MatchOp.FITS),
    (promql_parser.MatchOp.NotRe, MatchOp.NOT_FITS),
)


def read_selectors(texts: str | Iterable[str]) -> tuple[Selector, ...]:
    """Several selectors; their series are united. Raises BadQuery."""
    many = [texts] if isinstance(texts, str) else list(texts)
    if len(many) > SELECTORS_MAX:
        raise BadQuery(f"{len(many)} selectors are over the limit of {SELECTORS_MAX} in one question")
    selectors: list[Selector] = []
    matchers = 0
    for text in many:
        selectors.append(read_selector(text))
        matchers += len(selectors[-1])
        if matchers > MATCHERS_MAX:
            raise _too_many(matchers)
    return tuple(selectors)


def read_selector(text: str) -> Selector:
    """One selector as matchers.

    Raises: BadQuery where the text is not a selector, names a bad pattern, or would mean every series there is.
    """
    if len(text) > SELECTOR_BYTES_MAX:
        raise BadQuery(f"selector of {len(text)} characters is over the limit of {SELECTOR_BYTES_MAX}")
    if not _SKELETON.fullmatch(_QUOTED.sub(_stand_in, text)):
        raise BadQuery(f'selector {_shown(text)} cannot be read: expected a form like name{{label="value"}}')
    try:
        parsed = without_panic(promql_parser.parse, text)
    except ValueError as error:
        raise BadQuery(f"selector {_shown(text)} cannot be read: {error}") from None
    if not isinstance(parsed, promql_parser.VectorSelector) or parsed.matchers.or_matchers:
        raise BadQuery(f"selector {_shown(text)} cannot be read: expected matchers separated by commas")
    selector = matchers_of(parsed)
    if not is_selective(selector):
        raise BadQuery(f"selector {_shown(text)} must contain at least one matcher that does not match the empty text")
    return selector


def matchers_of(parsed: promql_parser.VectorSelector) -> Selector:
    """The matchers of a parsed selector. Raises: BadQuery for a pattern RE2 does not take, or too many matchers."""
    if len(parsed.matchers.matchers) >= MATCHERS_MAX:
        raise _too_many(len(parsed.matchers.matchers))
    selector: Selector = _named(parsed.name) + tuple(_matcher(found) for found in parsed.matchers.matchers)
    for matcher in selector:
        takes(matcher, "")
    return selector


def _too_many(matchers: int) -> BadQuery:
    return BadQuery(f"{matchers} matchers are over the limit of {MATCHERS_MAX} in one question")


def _stand_in(quoted: re.Match[str]) -> str:
    return "" if quoted[0].startswith("#") else '"'


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "…")


def _named(name: str | None) -> Selector:
    return (equals(NAME_LABEL, name),) if name else ()


def _matcher(found: promql_parser.Matcher) -> Matcher:
    return Matcher(found.name, next(ours for theirs, ours in _OPS if theirs == found.op), found.value)


def without_panic(parse: Callable[[str], _Parsed], text: str) -> _Parsed:
    """The result of a function of promql-parser, which panics on numbers that fit no duration. Raises: ValueError."""
    try:
        return parse(text)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3 derives it from BaseException, and exports no name for it
            raise
        raise ValueError(f"not a valid duration: {error}") from None
