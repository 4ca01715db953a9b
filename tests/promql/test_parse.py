"""Reading expressions: parts, places, and refusals that say where and what."""

from pathlib import Path

import pytest

from nissa.model.errors import BadQuery
from nissa.promql.expression import Aggregation, Binary, Call, Number, Range, Select, Subquery
from nissa.promql.parse import check_expression, pretty, read_expression, string_text
from oracle.promqltest import read_script


def test_parts_have_times_and_places() -> None:
    """Ranges, offsets, moments, labels and places come out as they are written."""
    read = read_expression('sum by (job) (rate(x{a="b"}[5m] offset -1m @ -3.5)) / 2')
    assert isinstance(read, Binary)
    assert isinstance(read.left, Aggregation)
    assert (read.left.labels, read.left.at) == (("job",), 0)
    call = read.left.expression
    assert isinstance(call, Call)
    window = call.arguments[0]
    assert isinstance(window, Range)
    assert (call.at, window.at, window.range_ms) == (14, 19, 300_000)
    shift = window.select.shift
    assert (shift.offset_ms, shift.moment.at_ms if shift.moment else None) == (-60_000, -3_500)
    assert read.right == Number(2.0, 54)


def test_subqueries_and_edges() -> None:
    """A subquery has its range, step and moment; start() and end() are edges of the query."""
    read = read_expression("max_over_time(x[1h:5m] @ end())")
    assert isinstance(read, Call)
    inner = read.arguments[0]
    assert isinstance(inner, Subquery)
    assert (inner.range_ms, inner.step_ms, inner.shift.moment.edge) == (3_600_000, 300_000, "end")
    assert read_expression("x @ start()").shift.moment.edge == "start"
    assert read_expression("x @ 1m40s").shift.moment.at_ms == 100_000


def test_utf8_names_and_quotes() -> None:
    """Quoted names are names; escapes of bytes are bytes."""
    read = read_expression('{"http.requests", "a.b"="c"}')
    assert isinstance(read, Select)
    assert [matcher.name for matcher in read.matchers] == ["__name__", "a.b"]
    assert string_text('"\\xc3\\xa9"', "Ã©") == "é"
    assert string_text('"\\xff"', "ÿ") == "\udcff"
    assert string_text("'plain'", "plain") == "plain"


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("a b", "1:3", "unexpected 'b'"),
        ("a\n + * b", "2:4", "unexpected '*'"),
        ("1 +", "1:4", "unexpected end of input"),
        ("a[1m+2m]", "1:5", "computed durations are not supported"),
        ("rate(a[5m] anchored)", "1:12", "anchored is not supported"),
        ("sum(nothing_of_the_kind(x))", "1:5", "unknown function"),
        ("rate(x[5m", "1:10", "unexpected end"),
        ("sum(a) by", "1:10", "unexpected end"),
        ('a{b=~"["}', "1:1", "illegal regex"),
        ("a offset (5m)", "1:10", "unexpected '('"),
    ],
)
def test_refusals_say_where_and_what(text: str, place: str, what: str) -> None:
    """Invalid expressions are refused with line, column and reason."""
    with pytest.raises(BadQuery) as refused:
        read_expression(text)
    assert str(refused.value).startswith(f"{place}: parse error: ")
    assert what in str(refused.value)
    with pytest.raises(BadQuery) as checked:
        check_expression(text)
    assert str(checked.value) == str(refused.value)


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "scripts").glob("*.test")), ids=lambda path: path.stem)
def test_a_check_refuses_what_reading_refuses(path: Path) -> None:
    """Every expression of the scripts is accepted or refused alike, with the same message."""
    texts = [what.expression for command, what in read_script(path) if command not in ("load", "clear")]
    texts += [
        "x @ 1e400",
        "(" * 101 + "x" + ")" * 101,
        "x" + " + x" * 1_001,
        '"\\xff"',
        "",
        " # nothing",
        "x[99999999999y]",
    ]
    for text in texts:
        told = []
        for parse in (read_expression, check_expression):
            try:
                parse(text)
                told.append("")
            except BadQuery as error:
                told.append(str(error))
        assert told[0] == told[1]


@pytest.mark.parametrize(
    "text",
    [
        *("(" * 5000 + "x" + ")" * 5000, "-" * 5000 + "x", "1" + "^1" * 5000, "x" + "+x" * 5000, "abs(" * 5000),
        *("x" * 10**7, "", "  # nothing", 'x{a="1" or b="2"}', "x @ 1e300"),
    ],
    ids=range(10),
)
def test_hostile_expressions_are_refused(text: str) -> None:
    """Deep, long and empty expressions are refused; the parser's stack is never reached."""
    with pytest.raises(BadQuery):
        read_expression(text)


def test_a_long_chain_is_read() -> None:
    """A thousand operators in a row are no nesting."""
    assert isinstance(read_expression("x" + " or x" * 1000), Binary)


def test_expressions_are_written_prettily() -> None:
    """The formatter's form of an expression reads back as the same expression."""
    assert pretty("sum(rate(x[5m]))by(a)") == "sum by (a) (rate(x[5m]))"
