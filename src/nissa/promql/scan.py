"""Tokens of an expression with their positions, which the parser's library does not report.

    sum by (job) (rate(x[5m] @ 3)) + 1        begins       calls: sum 0, rate 14     selects: x 19     numbers: 1 33
                                              moments      3

The parser gives a tree without positions. Its parts appear in the tree in the order they are written, so the n-th
call of the tree is the n-th call of the tokens. A scan also bounds what the parser sees: its stack is the machine's.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from nissa.model.errors import BadQuery

EXPRESSION_BYTES_MAX = 256 * 1024
NESTING_MAX = 100
OPERATORS_MAX = 1_000

_TOKEN = re.compile(
    r"""(?P<blank>\s+|\#[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])|\d[\w.]*)
    |(?P<word>[A-Za-z_][\w:]*|:[A-Za-z_][\w:]*)
    |(?P<mark>==|!=|=~|!~|<=|>=|.)""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_OPERATORS = frozenset({"+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "and", "or", "unless", "atan2"})
_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_MODIFIERS = frozenset({"bool", "offset", "fill", "fill_left", "fill_right"})
_AGGREGATIONS = frozenset({"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk"})
_AGGREGATIONS |= {"count_values", "quantile", "limitk", "limit_ratio"}


class Token(NamedTuple):
    """kind: string, number, word or mark. at: its first character."""

    kind: str
    text: str
    at: int


def line_and_column(text: str, at: int) -> str:
    """A place as people count: ``line:column``, both from 1."""
    before = text[:at]
    return f"{before.count(chr(10)) + 1}:{at - (before.rfind(chr(10)) + 1) + 1}"


class Scan:
    """Tokens, and the places of the parts of the tree by kind, each in the order they are written."""

    def __init__(self, text: str) -> None:
        """Raises: BadQuery where the text is too long or nested too deep for the parser."""
        if len(text) > EXPRESSION_BYTES_MAX:
            raise BadQuery(f"expression of {len(text)} characters is over the limit of {EXPRESSION_BYTES_MAX}")
        self.text = text
        self.tokens = list(_tokens(text))
        self.moments: deque[str] = deque()  # the times behind @
        self._places: dict[str, deque[int]] = {kind: deque() for kind in ("call", "select", "number", "string", "sign")}
        self._check()
        self._find()

    def next_place(self, kind: str) -> int:
        """Position at which the next token of a kind begins."""
        places = self._places[kind]
        return places.popleft() if places else 0

    def token_at(self, at: int) -> str:
        """The token that begins there."""
        return next((token.text for token in self.tokens if token.at == at), "")

    def line_and_column(self, at: int) -> str:
        """A place as people count: ``line:column``, both from 1."""
        return line_and_column(self.text, at)

    def _check(self) -> None:
        depth = deepest = operators = 0
        for token in self.tokens:
            if token.kind == "mark" and token.text in "([{":
                depth += 1
                deepest = max(deepest, depth)
            elif token.kind == "mark" and token.text in ")]}":
                depth -= 1
            operators += token.kind != "string" and token.text.lower() in _OPERATORS
        if deepest > NESTING_MAX:
            raise BadQuery(f"expression nested {deepest} deep is over the limit of {NESTING_MAX}")
        if operators > OPERATORS_MAX:
            raise BadQuery(f"expression of {operators} operators is over the limit of {OPERATORS_MAX}")

    def _find(self) -> None:
        """Sort tokens into places; what is inside braces and brackets, lists of labels and offsets is skipped."""
        tokens, at = self.tokens, 0
        operand = True  # whether an operand may begin here
        while at < len(tokens):
            token = tokens[at]
            word = token.text.lower()
            following = tokens[at + 1].text if at + 1 < len(tokens) else ""
            if token.kind == "word" and word in _LISTS and following == "(":
                at = self._behind(at + 1, "(", ")")
                operand = True
            elif token.kind == "mark" and token.text == "[":
                at, operand = self._behind(at, "[", "]"), False
            elif token.kind == "mark" and token.text == "{":
                self._places["select"].append(token.at)
                at, operand = self._behind(at, "{", "}"), False
            elif token.text == "@":
                at, operand = self._moment(at + 1), False
            elif token.kind == "word" and word == "offset" and not operand:
                at, operand = self._duration(at + 1), False
            else:
                at, operand = self._part(at, token, word, following, operand)

    def _part(self, at: int, token: Token, word: str, following: str, operand: bool) -> tuple[int, bool]:
        if token.kind in ("number", "string"):
            self._places[token.kind].append(token.at)
            return at + 1, False
        if token.kind == "mark":
            if operand and token.text in "+-":
                self._places["sign"].append(token.at)
            return at + 1, token.text != ")"
        if word in _OPERATORS and not operand:
            return at + 1, True
        if word in _MODIFIERS and following != "(" and word == "bool":
            return at + 1, True
        if word in _MODIFIERS and following == "(":
            return self._behind(at + 1, "(", ")"), True
        if word in ("inf", "nan") and following != "{":
            self._places["number"].append(token.at)
            return at + 1, False
        is_call = following == "(" or (word in _AGGREGATIONS and following.lower() in ("by", "without"))
        self._places["call" if is_call else "select"].append(token.at)
        if not is_call and following == "{":
            return self._behind(at + 1, "{", "}"), False
        return at + 1, is_call

    def _behind(self, at: int, opening: str, closing: str) -> int:
        """The token behind the bracket that closes the one at ``at``."""
        depth = 0
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.kind == "mark":
                depth += (token.text == opening) - (token.text == closing)
            at += 1
            if depth == 0:
                break
        return at

    def _moment(self, at: int) -> int:
        """Note the time behind @ and step over it."""
        sign = ""
        if at < len(self.tokens) and self.tokens[at].text in ("+", "-"):
            sign = self.tokens[at].text
            at += 1
        if at < len(self.tokens) and self.tokens[at].text in ("start", "end"):
            return self._behind(at + 1, "(", ")")
        self.moments.append(sign + (self.tokens[at].text if at < len(self.tokens) else ""))
        return at + 1

    def _duration(self, at: int) -> int:
        if at < len(self.tokens) and self.tokens[at].text in ("+", "-"):
            at += 1
        return at + 1


def _tokens(text: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(text):
        if found.lastgroup and found.lastgroup != "blank":
            yield Token(found.lastgroup, found[0], found.start())
