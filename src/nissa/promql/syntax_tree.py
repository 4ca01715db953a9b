"""The syntax tree of an expression as Prometheus' ``parse_query`` shows it.

    -x{a="b"}[5m]   {"type":"unaryExpr","op":"-","expr":{"type":"matrixSelector","name":"x","range":300000,…}}

Durations are milliseconds. Parentheses are kept, other than in ``expression.py``, so this reads the library's tree.
"""

from datetime import timedelta
from typing import Any

import promql_parser

from nissa.promql.number_text import plain_text
from nissa.promql.parse import moment_ms, read_expression
from nissa.promql.scan import Scan

_CARDS = {"OneToOne": "one-to-one", "ManyToOne": "many-to-one", "OneToMany": "one-to-many"}
_CARDS["ManyToMany"] = "many-to-many"
_MATCHES = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_SETS = ("and", "or", "unless")


def syntax_tree(text: str) -> dict[str, Any]:
    """The tree of ``text``. Raises: BadQuery."""
    read_expression(text)  # bounds depth and length, and refuses with a place
    return _Tree(Scan(text)).node(promql_parser.parse(text))


class _Tree:
    """The parts in the order of the text, so that the scan's times fit."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def node(self, parsed: Any) -> dict[str, Any]:
        match parsed:
            case promql_parser.NumberLiteral():
                return {"type": "numberLiteral", "val": plain_text(parsed.val)}
            case promql_parser.StringLiteral():
                return {"type": "stringLiteral", "val": parsed.val}
            case promql_parser.VectorSelector():
                return {"type": "vectorSelector", **self._selector(parsed)}
            case promql_parser.MatrixSelector():
                found = self._selector(parsed.vector_selector)
                return {"type": "matrixSelector", "range": _ms(parsed.range), **found}
            case promql_parser.ParenExpr():
                return {"type": "parenExpr", "expr": self.node(parsed.expr)}
            case promql_parser.UnaryExpr():
                return {"type": "unaryExpr", "op": "-", "expr": self.node(parsed.expr)}
            case promql_parser.SubqueryExpr():
                inner = self.node(parsed.expr)
                own = {"range": _ms(parsed.range), "step": _ms(parsed.step), **self._shift(parsed)}
                return {"type": "subquery", "expr": inner, **own}
            case promql_parser.Call():
                return {"type": "call", "func": _function(parsed.func), "args": [self.node(one) for one in parsed.args]}
            case promql_parser.AggregateExpr():
                return self._aggregation(parsed)
        return self._binary(parsed)

    def _selector(self, parsed: Any) -> dict[str, Any]:
        matchers = [
            {"name": one.name, "value": one.value, "type": _MATCHES[_name(one.op)]} for one in parsed.matchers.matchers
        ]
        if parsed.name:
            matchers.append({"name": "__name__", "value": parsed.name, "type": "="})
        return {"name": parsed.name or "", "matchers": matchers, **self._shift(parsed)}

    def _shift(self, parsed: Any) -> dict[str, Any]:
        timestamp: int | None = None
        edge: str | None = None
        if parsed.at is not None:
            if parsed.at.type == promql_parser.AtModifierType.Start:
                edge = "start"
            elif parsed.at.type == promql_parser.AtModifierType.End:
                edge = "end"
            else:
                timestamp = moment_ms(self._scan.moments.popleft())  # the library's own time panics before 1970
        return {"offset": _ms(parsed.offset), "timestamp": timestamp, "startOrEnd": edge}

    def _aggregation(self, parsed: Any) -> dict[str, Any]:
        labels: list[str] = []
        without = False
        if parsed.modifier is not None:
            labels = list(parsed.modifier.labels)
            without = parsed.modifier.type == promql_parser.AggModifierType.Without
        parameter = None if parsed.param is None else self.node(parsed.param)
        own = {"op": str(parsed.op), "expr": self.node(parsed.expr), "param": parameter}
        return {"type": "aggregation", **own, "grouping": labels, "without": without}

    def _binary(self, parsed: Any) -> dict[str, Any]:
        """A chain of operators leans to the left; it is walked without recursion."""
        chain = [parsed]
        while isinstance(chain[-1].lhs, promql_parser.BinaryExpr):
            chain.append(chain[-1].lhs)
        left = self.node(chain[-1].lhs)
        for link in reversed(chain):
            returns_bool = link.modifier is not None and bool(link.modifier.return_bool)
            own = {"op": str(link.op), "lhs": left, "rhs": self.node(link.rhs), "matching": _matching(link)}
            left = {"type": "binaryExpr", **own, "bool": returns_bool}
        return left


def _function(function: Any) -> dict[str, Any]:
    types = [_name(one).lower() for one in function.arg_types]
    returned = _name(function.return_type).lower()
    return {"name": function.name, "argTypes": types, "variadic": int(function.variadic), "returnType": returned}


def _matching(parsed: Any) -> dict[str, Any] | None:
    """Vector matching of an operator, with defaults; None if a side is no vector."""
    if _is_scalar(parsed.lhs) or _is_scalar(parsed.rhs):
        return None
    card = "many-to-many" if str(parsed.op) in _SETS else "one-to-one"
    labels: list[str] = []
    include: list[str] = []
    on = False
    modifier = parsed.modifier
    if modifier is not None:
        card = _CARDS[_name(modifier.card)]
        include = list(modifier.group_labels or ())
        if modifier.matching is not None:
            labels = list(modifier.matching.labels)
            on = modifier.matching.type == promql_parser.LabelModifierType.Include
    return {"card": card, "labels": labels, "on": on, "include": include}


def _is_scalar(parsed: Any) -> bool:
    match parsed:
        case promql_parser.NumberLiteral():
            return True
        case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
            return _is_scalar(parsed.expr)
        case promql_parser.Call():
            return bool(parsed.func.return_type == promql_parser.ValueType.Scalar)
        case promql_parser.BinaryExpr():
            while isinstance(parsed, promql_parser.BinaryExpr):
                if not _is_scalar(parsed.rhs):
                    return False
                parsed = parsed.lhs
            return _is_scalar(parsed)
    return False


def _name(member: Any) -> str:
    """The name of a member of one of the library's enumerations, which have no hash."""
    return str(member).rpartition(".")[2]


def _ms(duration: timedelta | None) -> int:
    return 0 if duration is None else duration // timedelta(milliseconds=1)
