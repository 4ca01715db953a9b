"""Request targets and the routes they name."""

import pytest

from nissa.sources.http.routes import (
    INFLUX_1,
    INFLUX_2,
    INFLUX_3,
    METRICS,
    OTHER,
    OTLP_LOGS,
    OTLP_LOGS_PROMETHEUS,
    OTLP_METRICS,
    OTLP_METRICS_PROMETHEUS,
    PING,
    PUSH,
    ROUTES,
    TELEMETRY,
    WRITE,
    Route,
    canonical,
    find_route,
    query_of,
)


@pytest.mark.parametrize(
    ("target", "route"),
    [
        (b"/api/v1/write", WRITE),
        (b"/api/v1/telemetry?a=b", TELEMETRY),
        (b"/write?db=x", INFLUX_1),
        (b"/api/v2/write", INFLUX_2),
        (b"http://h/api/v3/write_lp?db=x", INFLUX_3),
        (b"/ping", PING),
        (b"/v1/metrics", OTLP_METRICS),
        (b"/api/v1/otlp/v1/metrics?x", OTLP_METRICS_PROMETHEUS),
        (b"/v1/logs", OTLP_LOGS),
        (b"/api/v1/otlp/v1/logs", OTLP_LOGS_PROMETHEUS),
        (b"/metrics?/api/v1/write", METRICS),
        (b"http://h:1/metrics", METRICS),
        (b"HTTPS://h/metrics?x", METRICS),
        (b"http://h?/metrics", OTHER),
        (b"http://h//metrics", OTHER),
        (b"ftp://h/metrics", OTHER),
        (b"//metrics", OTHER),
        (b"/METRICS", OTHER),
        (b"/metrics/", OTHER),
        (b"/metrics/job", PUSH),
        (b"/metrics/job/", PUSH),
        (b"/metrics/job/a/b/c?x", PUSH),
        (b"http://h/metrics/job@base64/YQ", PUSH),
        (b"/metrics/jobs/a", OTHER),
        (b"/%6detrics", OTHER),
        (b"*", OTHER),
        (b"h:80", OTHER),
        (b"", OTHER),
    ],
)
def test_targets(target: bytes, route: Route) -> None:
    """Paths are compared byte for byte; queries, fragments and authorities are passed over."""
    assert find_route(target) is route


def test_queries() -> None:
    """The query is what stands between question mark and fragment."""
    assert [query_of(each) for each in (b"/write?db=a?b#c", b"/write", b"http://h/write?x")] == [b"db=a?b", b"", b"x"]


def test_only_ingest_paths_take_post() -> None:
    """Nothing that is read can be posted to, and the other way round."""
    assert all((b"POST" in route.allow) == route.ingests for route in ROUTES)


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        (b"/metrics/", b"/metrics"),
        (b"//metrics", b"/metrics"),
        (b"/api//v1///write/?a=/b/", b"/api/v1/write?a=/b/"),
        (b"http://h//-/ready", b"/-/ready"),
        (b"//evil.example/metrics", None),
        (b"/metrics/x", None),
        (b"/", None),
        (b"*", None),
    ],
)
def test_slashes(target: bytes, meant: bytes | None) -> None:
    """Doubled and trailing slashes lead to the path that is meant, and never to another host."""
    assert canonical(target) == meant


def test_what_can_be_got_can_be_headed() -> None:
    """HEAD is taken where GET is, and OPTIONS everywhere."""
    assert all((b"HEAD" in route.allow) == (b"GET" in route.allow) and b"OPTIONS" in route.allow for route in ROUTES)
