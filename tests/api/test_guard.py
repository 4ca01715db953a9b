"""Requests that do not reach the API."""

import httpx
import pytest

from nissa.api.guard import HEADERS_MAX
from nissa.config.tree import Api
from oracle.backend_twin import BackendTwin, regular


@pytest.fixture
def client(serve) -> httpx.Client:
    """An API with two names of its own."""
    return serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(allowed_hosts=("nissa", "*.lab.example")))


def status(client: httpx.Client, **headers: str) -> int:
    """Status of a request with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get("/api/v1/labels", headers=named).status_code


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("localhost", True),
        ("LOCALHOST:9471", True),
        ("127.0.0.1:1", True),
        ("[::1]:9471", True),
        ("10.1.2.3", True),
        ("nissa:9471", True),
        ("a.lab.example", True),
        ("lab.example", False),
        ("evil", False),
        ("evil.example:9471", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evil@127.0.0.1.example", False),
        ("[::1", False),
    ],
)
def test_hosts(client, host, passes):
    """An address, a loopback name and configured names pass; any other name may be rebound, and is refused."""
    assert status(client, host=host) == (200 if passes else 403)


def test_health_is_told_to_anybody(client):
    """Load balancers ask under names of their own."""
    for path in ("/-/healthy", "/-/ready"):
        assert client.get(path, headers={"host": "evil.example"}).status_code == 200


@pytest.mark.parametrize(
    ("site", "mode", "expected"),
    [
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
        ("cross-site", "navigate", 200),
        ("cross-site", "no-cors", 403),
        ("cross-site", "cors", 403),
        ("same-site", "cors", 403),
    ],
)
def test_pages_of_other_sites_ask_nothing(client, site, mode, expected):
    """Requests from pages of other sites are refused, as the browser labels them; following a link passes."""
    assert status(client, sec_fetch_site=site, sec_fetch_mode=mode) == expected


@pytest.mark.parametrize("path", ["/api/v1/pins", "/api/v1/clock/confirm", "/api/v1/labels"])
def test_an_origin_is_that_of_the_host(client, path):
    """A POST from a page of another origin is refused, and so is a rebound name with a matching origin."""
    own = str(client.base_url).rstrip("/")
    for origin, host in (
        ("https://elsewhere.example", None),
        ("null", None),
        (own.rpartition(":")[0] + ":1", None),
        ("http://[", None),
        ("http://evil:9471", "evil:9471"),
    ):
        headers = {"Origin": origin} | ({"Host": host} if host else {})
        answer = client.post(path, headers=headers)
        assert (answer.status_code, answer.json()["errorType"]) == (403, "forbidden")
    assert client.post(path, headers={"Origin": own}).status_code != 403


def test_header_lines_are_bounded(client):
    """More than a hundred are refused with the limit, and the next request is served."""
    answer = client.get("/api/v1/labels", headers=[("x", "y")] * 20_000)
    assert answer.status_code == 431
    assert f"over the limit of {HEADERS_MAX}" in answer.text
    assert status(client) == 200
