"""Methods and paths that no route names."""

import pytest

from oracle.backend_twin import BackendTwin, regular

LABELS = [{"__name__": "up"}]


@pytest.fixture
def client(serve):
    """The API over one series of many samples."""
    return serve(BackendTwin(LABELS, regular(1, 400_000)))


def test_head_is_taken_where_get_is(client):
    """HEAD has the status and headers of GET, and no body; a stream ends at once."""
    for path in (
        "/-/healthy",
        "/api/v1/labels",
        "/api/status",
        "/api/v1/pins",
        "/nothing",
        "/api/v1/export?match[]=up",
    ):
        asked, headed = client.get(path), client.head(path)
        assert (headed.status_code, headed.content) == (asked.status_code, b"")
        assert headed.headers.get("content-type") == asked.headers.get("content-type")
    assert client.get("/-/healthy").status_code == 200


def test_options_and_allow(client):
    """OPTIONS names the methods of all routes of a path, and so does a 405."""
    for path, allow in (
        ("/api/v1/pins", "DELETE, GET, HEAD, POST, OPTIONS"),
        ("/api/v1/labels", "GET, HEAD, POST, OPTIONS"),
        ("/api/v1/clock/confirm", "POST, OPTIONS"),
        ("/api/v1/openapi.json", "GET, HEAD, OPTIONS"),
    ):
        assert (client.options(path).status_code, client.options(path).headers["allow"]) == (204, allow)
        assert (client.patch(path).status_code, client.patch(path).headers["allow"]) == (405, allow)
    assert client.options("/nothing").status_code == 404
    assert "access-control-allow-origin" not in client.options("/api/v1/pins").headers


@pytest.mark.parametrize("path", ["/api/v1/labels/", "//api//v1/labels", "/api/v1/labels//"])
def test_slashes_are_redirected(client, path):
    """Superfluous slashes are redirected to the proper path, with query and method."""
    url = str(client.base_url).rstrip("/") + path + "?match[]=up&x=%20"
    for method in ("GET", "POST"):
        answer = client.request(method, url)
        assert answer.status_code == 308
        assert answer.headers["location"] == "/api/v1/labels?match[]=up&x=%20"
    assert client.get(url, follow_redirects=True).json()["data"] == ["__name__"]


def test_an_unknown_path_names_the_known_ones(client):
    """No redirect leads to another host."""
    for path in ("/nothing", "//evil.example/", "/api/v1/query_rangex"):
        answer = client.get(str(client.base_url).rstrip("/") + path)
        assert (answer.status_code, answer.json()["errorType"]) == (404, "not_found")
        assert "/api/v1/export" in answer.json()["error"]
