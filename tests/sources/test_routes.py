"""Request targets and the routes they name."""

import pytest

from nissa.sources.routes import METRICS, OTHER, ROUTES, TELEMETRY, WRITE, Route, find_route


@pytest.mark.parametrize(
    ("target", "route"),
    [
        (b"/api/v1/write", WRITE),
        (b"/api/v1/telemetry?a=b", TELEMETRY),
        (b"/metrics?/api/v1/write", METRICS),
        (b"http://h:1/metrics", METRICS),
        (b"HTTPS://h/metrics?x", METRICS),
        (b"http://h?/metrics", OTHER),
        (b"http://h//metrics", OTHER),
        (b"ftp://h/metrics", OTHER),
        (b"//metrics", OTHER),
        (b"/METRICS", OTHER),
        (b"/metrics/", OTHER),
        (b"/%6detrics", OTHER),
        (b"*", OTHER),
        (b"h:80", OTHER),
        (b"", OTHER),
    ],
)
def test_targets(target: bytes, route: Route) -> None:
    """Paths are compared byte for byte; queries, fragments and authorities are passed over."""
    assert find_route(target) is route


def test_only_ingest_paths_take_post() -> None:
    """Nothing that is read can be posted to, and the other way round."""
    assert all((b"POST" in route.allow) == route.ingests for route in ROUTES)
