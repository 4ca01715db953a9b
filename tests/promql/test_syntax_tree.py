"""Trees of expressions as Prometheus shows them."""

import pytest

from nissa.model.errors import BadQuery
from nissa.promql.syntax_tree import syntax_tree


def test_every_kind_of_part() -> None:
    """Each has its type and its fields; parentheses are kept."""
    tree = syntax_tree('sum without (a) (rate(x{b=~"c"}[5m] offset 1m)) / on (d) group_left (e) (-y @ 5)')
    left, right = tree["lhs"], tree["rhs"]
    assert tree["matching"] == {"card": "many-to-one", "labels": ["d"], "on": True, "include": ["e"]}
    assert (left["type"], left["op"], left["grouping"], left["without"]) == ("aggregation", "sum", ["a"], True)
    (selector,) = left["expr"]["args"]
    assert left["expr"]["func"] == {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"}
    assert (selector["type"], selector["range"], selector["offset"]) == ("matrixSelector", 300_000, 60_000)
    assert {"name": "b", "value": "c", "type": "=~"} in selector["matchers"]
    assert (right["type"], right["expr"]["type"]) == ("parenExpr", "unaryExpr")
    assert right["expr"]["expr"]["timestamp"] == 5_000


def test_times_belong_to_their_selectors() -> None:
    """Times stay in the order of the text, before 1970 too; start() and end() stay names."""
    tree = syntax_tree("sum_over_time((z @ -2)[5m:1m] @ 3) + x @ end()")
    (subquery,) = tree["lhs"]["args"]
    assert (subquery["type"], subquery["range"], subquery["step"]) == ("subquery", 300_000, 60_000)
    assert (subquery["timestamp"], subquery["expr"]["expr"]["timestamp"]) == (3_000, -2_000)
    assert (tree["rhs"]["timestamp"], tree["rhs"]["startOrEnd"]) == (None, "end")


def test_literals_and_default_matching() -> None:
    """Numbers are text; vectors match one to one, sets many to many, and scalars not at all."""
    assert syntax_tree("1e3") == {"type": "numberLiteral", "val": "1000"}
    assert syntax_tree('"a"') == {"type": "stringLiteral", "val": "a"}
    assert syntax_tree("x + y")["matching"]["card"] == "one-to-one"
    assert syntax_tree("x and y")["matching"]["card"] == "many-to-many"
    assert syntax_tree("x + (1 + time())")["matching"] is None
    with pytest.raises(BadQuery, match="1:3"):
        syntax_tree("x{")
