"""Parses an expression into the parts of ``expression.py``, or raises BadQuery with the position of the fault.

The grammar and its types are promql-parser's. It does not support two features that Prometheus has behind flags,
computed durations (``[5m * 2]``) and the modifiers ``anchored`` and ``smoothed``; the error says so. It reports no
positions: ``scan.py`` finds them.
"""

import codecs
import re
from contextlib import suppress
from datetime import timedelta
from typing import Any

import promql_parser

from nissa.model.errors import BadQuery
from nissa.model.selector import matchers_of, without_panic
from nissa.promql.expression import (
    Aggregation,
    AtModifier,
    Binary,
    Call,
    Expression,
    Matching,
    Negate,
    Number,
    Range,
    Select,
    Shift,
    String,
    Subquery,
)
from nissa.promql.operators import COMPARE
from nissa.promql.scan import NESTING_MAX, OPERATORS_MAX, Scan

_STAND_INS = ("x", "1", '"x"', "x[1m]", "")  # what may stand where an expression breaks off
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_BYTE_ESCAPE = re.compile(r"\\(?:x[89a-fA-F]|[23][0-7])")
_UNICODE_ESCAPE = re.compile(rb"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})")
_GENERIC = "invalid promql query"
SECONDS_MS = 1000
_NOWHERE = Scan("")
_NEEDS_SCAN = re.compile(r"[\\@]")  # texts of strings, and times behind @
MOMENT_MS_MAX = 2**62


def read_expression(text: str) -> Expression:
    """An expression as its parts. Raises: BadQuery, with line and column."""
    if not text.strip():
        raise BadQuery("parse error: no expression found in input")
    scan = Scan(text)
    try:
        parsed = without_panic(promql_parser.parse, text)
    except ValueError as error:
        raise _refusal(scan, str(error)) from None
    return _Reading(scan).expression(parsed, 0)


def check_expression(text: str) -> None:
    """Raise what ``read_expression`` raises: BadQuery, with line and column.

    It takes a third of the time where there is no fault, because places are not looked for.
    """
    if len(text) <= OPERATORS_MAX and sum(map(text.count, "([{")) <= NESTING_MAX and not _NEEDS_SCAN.search(text):
        with suppress(ValueError, BadQuery):
            _Reading(_NOWHERE).expression(without_panic(promql_parser.parse, text), 0)
            return
    read_expression(text)


def pretty(text: str) -> str:
    """The expression as the formatter writes it. Raises: BadQuery."""
    read_expression(text)
    return str(promql_parser.parse(text).prettify())


def compared_text(text: str) -> str:
    """The left side of a comparison with a number, as text; any other expression as it is. Raises: BadQuery."""
    parsed = read_expression(text)
    if isinstance(parsed, Binary) and parsed.operator in COMPARE and isinstance(parsed.right, Number):
        compared: Any = promql_parser.parse(text)
        return str(compared.lhs.prettify())
    return text


class _Reading:
    """From the library's tree to ours, in the order of the text, so that places fit."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def expression(self, parsed: Any, depth: int) -> Expression:
        if depth > 2 * NESTING_MAX:
            raise BadQuery(f"expression nested more than {2 * NESTING_MAX} deep")
        match parsed:
            case promql_parser.NumberLiteral():
                return Number(parsed.val, self._scan.next_place("number"))
            case promql_parser.StringLiteral():
                at = self._scan.next_place("string")
                return String(string_text(self._scan.token_at(at), parsed.val), at)
            case promql_parser.VectorSelector():
                return self._select(parsed)
            case promql_parser.MatrixSelector():
                select = self._select(parsed.vector_selector)
                return Range(select, _milliseconds(parsed.range), select.at)
            case promql_parser.ParenExpr():
                return self.expression(parsed.expr, depth + 1)
            case promql_parser.UnaryExpr():
                at = self._scan.next_place("sign")
                return Negate(self.expression(parsed.expr, depth + 1), at)
            case promql_parser.SubqueryExpr():
                return self._subquery(parsed, depth)
            case promql_parser.Call():
                at = self._scan.next_place("call")
                arguments = tuple(self.expression(argument, depth + 1) for argument in parsed.args)
                return Call(parsed.func.name, arguments, at)
            case promql_parser.AggregateExpr():
                return self._aggregate(parsed, depth)
            case promql_parser.BinaryExpr():
                return self._binary(parsed, depth)
        raise BadQuery(f"parse error: a part of the kind {type(parsed).__name__} is not supported")

    def _select(self, parsed: promql_parser.VectorSelector) -> Select:
        if parsed.matchers.or_matchers:
            raise BadQuery('parse error: "or" between matchers is not supported')
        at = self._scan.next_place("select")
        return Select(matchers_of(parsed), self._shift(parsed), at)

    def _subquery(self, parsed: promql_parser.SubqueryExpr, depth: int) -> Subquery:
        inner = self.expression(parsed.expr, depth + 1)
        step_ms = 0 if parsed.step is None else _milliseconds(parsed.step)
        range_ms = 0 if parsed.range is None else _milliseconds(parsed.range)
        return Subquery(inner, range_ms, step_ms, self._shift(parsed), inner.at)

    def _shift(self, parsed: promql_parser.VectorSelector | promql_parser.SubqueryExpr) -> Shift:
        moment = None
        if parsed.at is not None:
            if parsed.at.type == promql_parser.AtModifierType.Start:
                moment = AtModifier("start")
            elif parsed.at.type == promql_parser.AtModifierType.End:
                moment = AtModifier("end")
            else:  # the library's own time panics before 1970
                moment = AtModifier("", moment_ms(self._scan.moments.popleft()))
        return Shift(0 if parsed.offset is None else _milliseconds(parsed.offset), moment)

    def _aggregate(self, parsed: promql_parser.AggregateExpr, depth: int) -> Aggregation:
        at = self._scan.next_place("call")
        parameter = None if parsed.param is None else self.expression(parsed.param, depth + 1)
        inner = self.expression(parsed.expr, depth + 1)
        labels: tuple[str, ...] = ()
        without = False
        if parsed.modifier is not None:
            labels = tuple(parsed.modifier.labels)
            without = parsed.modifier.type == promql_parser.AggModifierType.Without
        return Aggregation(str(parsed.op), inner, parameter, labels, without, at)

    def _binary(self, parsed: promql_parser.BinaryExpr, depth: int) -> Binary:
        """A chain of operators leans to the left; it is walked without recursion."""
        chain = [parsed]
        while isinstance(chain[-1].lhs, promql_parser.BinaryExpr):
            chain.append(chain[-1].lhs)
        left = self.expression(chain[-1].lhs, depth + 1)
        for link in reversed(chain):
            right = self.expression(link.rhs, depth + 1)
            returns_bool = link.modifier is not None and link.modifier.return_bool
            left = Binary(str(link.op), left, right, _matching(link.modifier), returns_bool, left.at)
        if not isinstance(left, Binary):
            raise BadQuery("parse error: an operator without sides")
        return left


def _matching(modifier: promql_parser.BinModifier | None) -> Matching:
    if modifier is None:
        return Matching()
    many = ""
    if modifier.card == promql_parser.VectorMatchCardinality.ManyToOne:
        many = "left"
    elif modifier.card == promql_parser.VectorMatchCardinality.OneToMany:
        many = "right"
    on = False
    labels: tuple[str, ...] = ()
    if modifier.matching is not None:
        on = modifier.matching.type == promql_parser.LabelModifierType.Include
        labels = tuple(modifier.matching.labels)
    fill = modifier.fill_values
    return Matching(on, labels, many, tuple(modifier.group_labels or ()), fill.lhs, fill.rhs)


def string_text(token: str, parsed: str) -> str:
    """The text of a quoted string. Escapes of single bytes, which the library takes for characters, are bytes here.

    Bytes that are no UTF-8 become surrogates, as in file names: no label is spelled so.
    """
    if not _BYTE_ESCAPE.search(token) or token.startswith("`"):
        return parsed
    escaped = token[1:-1].encode().replace(b"\\'", b"'")
    data = codecs.escape_decode(_UNICODE_ESCAPE.sub(_unicode_bytes, escaped))[0]
    return bytes(data).decode("utf-8", "surrogateescape")


def _unicode_bytes(found: re.Match[bytes]) -> bytes:
    return chr(int(found[1] or found[2], 16)).encode()


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def moment_ms(text: str) -> int:
    """The time behind ``@`` in milliseconds. Raises: BadQuery."""
    bare = text.strip("+-")
    try:
        if bare[-1:].isalpha() and bare[:2].lower() != "0x":
            at_ms = _milliseconds(without_panic(promql_parser.parse_duration, bare))
            at_ms = -at_ms if text.startswith("-") else at_ms
        else:
            seconds = float(text) if bare[:2].lower() != "0x" else float(int(text, 16))
            at_ms = round(seconds * SECONDS_MS)
    except (ValueError, OverflowError):
        raise BadQuery(f"parse error: timestamp out of bounds for @ modifier: {text}") from None
    if abs(at_ms) > MOMENT_MS_MAX:
        raise BadQuery(f"parse error: timestamp out of bounds for @ modifier: {text}")
    return at_ms


def _refusal(scan: Scan, why: str) -> BadQuery:
    """The library's reason, with the place in the query, which it does not name."""
    at = _place_of(scan, why)
    words = [token for token in scan.tokens if token.kind == "word" and token.at == at]
    if words and words[0].text in ("anchored", "smoothed"):
        why = f"the modifier {words[0].text} is not supported"
    elif "inside brackets" in why and not why.startswith("unexpected end"):
        why = f"a range must be a duration, computed durations are not supported ({why})"
    elif why == _GENERIC:
        token = next((token.text for token in scan.tokens if token.at == at), "")
        why = f"unexpected {token[:100]!r}" if token else "unexpected end of input"
    return BadQuery(f"{scan.line_and_column(at)}: parse error: {why}")


def _place_of(scan: Scan, why: str) -> int:
    tokens = scan.tokens
    if why.startswith(("unexpected end", "unclosed", "unterminated")):
        return len(scan.text)
    if why.startswith("unknown function"):
        name = why.split("'")[1]
        return next((token.at for token in tokens if token.text == name), 0)
    if why != _GENERIC and "unexpected character" not in why:
        return tokens[0].at if tokens else 0
    low, high = 0, len(tokens)  # the first low tokens may begin an expression
    while low < high:
        middle = (low + high + 1) // 2
        if _may_begin(scan, middle):
            low = middle
        else:
            high = middle - 1
    return tokens[low].at if low < len(tokens) else len(scan.text)


def _may_begin(scan: Scan, count: int) -> bool:
    """True if some expression begins with the first ``count`` tokens."""
    opened: list[str] = []
    for token in scan.tokens[:count]:
        if token.kind == "mark" and token.text in _CLOSING:
            opened.append(_CLOSING[token.text])
        elif opened and token.text == opened[-1]:
            opened.pop()
    last = scan.tokens[count - 1]
    head, tail = scan.text[: last.at + len(last.text)], "".join(reversed(opened))
    inside = ("", "5m", "x", 'x="y"', '="y"', '"y"') if opened[-1:] in (["]"], ["}"]) else _STAND_INS
    return any(_parses(f"{head} {stand_in}{tail}") for stand_in in (*inside, "(x)", "(1)", "by (x) (x)", "5m"))


def _parses(text: str) -> bool:
    try:
        without_panic(promql_parser.parse, text)
    except ValueError as error:
        return str(error) != _GENERIC and "unexpected character" not in str(error)
    return True
