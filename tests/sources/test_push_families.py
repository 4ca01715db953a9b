"""Pushed text by metric family."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from nissa.model.errors import Malformed
from nissa.sources.push_families import Family, SeriesReader, exposition_of, gone_lines, read_families

JOB = {"job": "j"}


def test_lines_go_to_their_family() -> None:
    """Samples of a histogram belong to it, also behind others; names in quotes are names; comments are dropped."""
    body = (
        b'# HELP h Of a test.\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_sum 3\n\n  x{a="b"} 7\nh_count 4\n# EOF\n'
        b'# TYPE "a b" gauge\n{"a b"} NaN\nx_sum 1\n'
    )
    families = read_families(body, SeriesReader(JOB))
    assert families["h"] == Family(
        b"# TYPE h histogram", b"# HELP h Of a test.", [b'h_bucket{le="1"} 2', b"h_sum 3", b"h_count 4"]
    )
    assert families["a b"] == Family(b'# TYPE "a b" gauge', b"", [b'{"a b"} NaN'])
    assert {name: family.samples for name, family in families.items() if name.startswith("x")} == {
        "x": [b'x{a="b"} 7'],
        "x_sum": [b"x_sum 1"],
    }


@given(st.lists(st.sampled_from("cghsi"), unique=True), st.floats(0, 1e6))
def test_pages_of_prometheus_client(kinds: list[str], number: float) -> None:
    """Its text, taken apart and put together, is read to the same families by its own parser."""
    registry = CollectorRegistry()
    for kind in kinds:
        if kind == "i":
            Info("i", "Of a test.", registry=registry).info({"v": "1"})
        elif kind == "c":
            Counter("c", "Of a test.", ["l"], registry=registry).labels('q"\\\n').inc(number)
        elif kind == "g":
            Gauge("g", "Of a\ntest.", registry=registry).set(number)
        elif kind == "h":
            Histogram("h", "Of a test.", registry=registry).observe(number)
        else:
            Summary("s", "Of a test.", registry=registry).observe(number)
    page = generate_latest(registry)
    again = exposition_of(read_families(page, SeriesReader(JOB)))
    wanted, found = (list(text_string_to_metric_families(text.decode())) for text in (page, again))
    assert found == wanted
    assert read_families(again, SeriesReader(JOB)) == read_families(page, SeriesReader(JOB))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"x 1 2\n", "timestamp"),
        (b"x 1\nx 2\n", "twice"),
        (b'x{job="a"} 1\nx 2\n', "twice"),
        (b"x 1", "line feed"),
        (b"y 1\nx 1\r\n", "line 2"),
        (b"x{\n", "line 1"),
        (b"\xff 1\n", "line 1"),
        (b"# TYPE x gauge\nx 1\n# TYPE x gauge\n", "line 3: a second TYPE"),
        (b"x 1\n# TYPE x gauge\n", "line 2: a second TYPE"),
        (b"# HELP x a\n# HELP x b\nx 1\n", "line 2: a second HELP"),
        (b"# TYPE x thing\nx 1\n", "line 1"),
        (b'x{empty="2"} 1\n', "empty"),
        (b"# HELP x " + b" " * 300_000 + b'"\n' + b"#" + b" " * 300_000 + b"x\ny\n", "line 3"),
    ],
)
def test_bodies_at_fault(body: bytes, words: str) -> None:
    """The message names the fault."""
    with pytest.raises(Malformed, match=words):
        read_families(body, SeriesReader({"job": "j", "empty": ""}))


def test_metrics_of_nissa_are_not_taken_from_senders() -> None:
    """The times of pushes are Nissa's own."""
    assert list(read_families(b"push_time_seconds 1\npush_failure_time_seconds 2\nx 1\n", SeriesReader(JOB))) == ["x"]


def test_gone_lines() -> None:
    """A series that is spelled in another way is not gone."""
    before = {"x": Family(samples=[b'x{a="1",b="2"} 5', b'x{a="2"} 6'])}
    after = {"x": Family(samples=[b'x{ b="2", a="1", job="z" } 7'])}
    assert gone_lines(SeriesReader(JOB), before, after) == [b'x{a="2"} 6']


def test_families_that_share_a_series() -> None:
    """A histogram and a gauge of the name of its sum cannot be in one group."""
    after = {"h": Family(b"# TYPE h histogram", b"", [b"h_sum 1"]), "h_sum": Family(samples=[b"h_sum 2"])}
    with pytest.raises(Malformed, match="twice"):
        gone_lines(SeriesReader(JOB), {}, after)
