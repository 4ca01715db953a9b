"""Places of parts, found without a parser."""

import pytest

from nissa.promql.scan import Scan


@pytest.mark.parametrize(
    ("text", "kind", "places"),
    [
        ("sum by (job) (rate(x[5m] @ 3)) + 1", "call", [0, 14]),
        ("sum by (job) (rate(x[5m] @ 3)) + 1", "select", [19]),
        ("sum by (job) (rate(x[5m] @ 3)) + 1", "number", [33]),
        ('-x{a="y"} and on(sum) {b="z"} offset 5m', "select", [1, 22]),
        ("-x - -1", "sign", [0, 5]),
        ("sum(x) by (sum) > bool inf", "call", [0]),
        ("sum(x) by (sum) > bool inf", "number", [23]),
        ('label_replace(x, "a", \'b\', `c`, "d") # "e"', "string", [17, 22, 27, 32]),
        ("by + on{x='1'}", "select", [0, 5]),
    ],
)
def test_parts_are_found(text: str, kind: str, places: list[int]) -> None:
    """The n-th part of a kind is where it is written, whatever stands in braces, brackets, lists and comments."""
    scan = Scan(text)
    assert [scan.next_place(kind) for _ in places] == places
    assert scan.next_place(kind) == 0


def test_lines_and_columns_count_from_one() -> None:
    """A place in an expression is given as line and column."""
    scan = Scan("a +\n  b")
    assert scan.line_and_column(0) == "1:1"
    assert scan.line_and_column(6) == "2:3"
