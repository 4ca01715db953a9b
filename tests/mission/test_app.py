"""The application as a whole."""

import asyncio
from pathlib import Path

import httpx

from nissa.config.tree import Api
from nissa.mission.app import create_app
from oracle.backend_twin import BackendTwin, regular


def test_the_application_answers_without_a_server():
    """It is plain ASGI: any server, or none, can hold it."""

    async def ask() -> httpx.Response:
        app = create_app(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(), {"version": "1"})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any.host") as client:
            return await client.get("/api/v1/labels")

    assert asyncio.run(ask()).json() == {"status": "success", "data": ["__name__"]}


def test_every_host_is_answered_and_none_is_repeated(serve):
    """A made-up Host header changes nothing and appears nowhere in the answer."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)))
    answer = client.get("/api/v1/labels/", headers={"host": "evil.example"})
    assert answer.status_code == 404
    assert "evil" not in answer.text + str(answer.headers)


def test_reading_changes_nothing_and_writing_has_no_route(serve):
    """No route takes PUT or PATCH; POST only where it asks, or pins and the clock are set."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)))
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    methods = {(path, method) for path, route in paths.items() for method in route}
    assert {method for _, method in methods} == {"get", "post", "delete"}
    assert {path for path, method in methods if method == "delete"} == {"/api/v1/pins"}
    assert {path for path, method in methods if method == "post"} == {
        "/api/v1/export",
        "/api/v1/events",
        "/api/v1/series",
        "/api/v1/labels",
        "/api/v1/pins",
        "/api/v1/clock/confirm",
    }


def test_every_route_has_its_heading_in_the_documentation(serve):
    """docs/api.md has one heading per path, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    documented = {line.split()[-1] for line in page.splitlines() if line.startswith("## ")}
    paths = serve(BackendTwin([{"__name__": "up"}], regular(1, 1))).get("/api/v1/openapi.json").json()["paths"]
    assert documented == {*paths, "/api/v1/openapi.json"}
