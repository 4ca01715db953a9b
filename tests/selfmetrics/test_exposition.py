"""Formats of GET /metrics by what the scraper accepts."""

import gzip

import pytest
from prometheus_client import Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import CollectorRegistry

from nissa.selfmetrics.exposition import OPENMETRICS, TEXT, accepts_gzip, choose_format, expose

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF_FIRST = (
    f"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,{PROMETHEUS_3}"
)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,*/*;q=0.8", TEXT),
        ("text/plain", TEXT),
        ("TEXT/PLAIN; version=0.0.4", TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        (PROTOBUF_FIRST, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", TEXT),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.3", TEXT),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.2", OPENMETRICS),
        ("application/openmetrics-text, text/plain", TEXT),
        ("application/openmetrics-text, */*", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=x", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        ("application/openmetrics-text;q=2", TEXT),
        ("application/*", OPENMETRICS),
        ("image/png", TEXT),
        (",;=;,,q=", TEXT),
        ("a/b," * 10_000 + "application/openmetrics-text", TEXT),
    ],
)
def test_the_highest_quality_wins(accept: str, chosen: str) -> None:
    """Scrapers get the format they rate highest, and the text format where they rate none of ours."""
    assert choose_format(accept) == chosen


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
    ],
)
def test_gzip_only_where_accepted(accept_encoding: str, accepted: bool) -> None:
    """gzip is used where it, or everything, is accepted."""
    assert accepts_gzip(accept_encoding) == accepted


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (PROMETHEUS_3, parse_openmetrics)])
def test_both_formats_can_be_read_back(accept: str, parse: type) -> None:
    """The exposition parses as its content type, compressed or not."""
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    headers, plain = expose(registry, accept, "")
    zipped_headers, zipped = expose(registry, accept, "gzip")
    assert gzip.decompress(zipped) == plain
    assert zipped_headers == {**headers, "Content-Encoding": "gzip"}
    assert headers["Content-Type"] == (OPENMETRICS if accept else TEXT)
    samples = {sample.name: sample.value for family in parse(plain.decode()) for sample in family.samples}
    assert samples["things_total"] == 3
    assert plain.endswith(b"# EOF\n") == bool(accept)
