"""The application as a whole."""

import asyncio
import re
from pathlib import Path

import httpx

from nissa.api.app import app_of
from nissa.api.facts import Facts
from nissa.api.permissions import PERMISSIONS
from nissa.api.state import ApiState
from nissa.config.tree import Api
from oracle.backend_twin import BackendTwin, regular


def test_the_application_answers_without_a_server():
    """The application is plain ASGI, so any server can run it."""

    async def ask() -> httpx.Response:
        app = app_of(ApiState(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(), Facts(lambda: 0, "1")))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get("/api/v1/labels")

    assert asyncio.run(ask()).json() == {"status": "success", "data": ["__name__"]}


def test_no_host_is_repeated(serve):
    """A redirect names the path alone, whoever the request was for."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)), Api(allowed_hosts=("evil.example",)))
    answer = client.get("/api/v1/labels/", headers={"host": "evil.example"})
    assert answer.status_code == 308
    assert "evil" not in answer.text + str(answer.headers)


def test_methods_are_those_of_the_table_of_permissions(serve):
    """The OpenAPI document and the table of permissions list the same routes, and GET changes nothing."""
    client = serve(BackendTwin([{"__name__": "up"}], regular(1, 1)))
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    table = {re.sub(r":\w+}", "}", path): set(methods) for path, methods in PERMISSIONS.items()}
    for path, route in paths.items():
        assert {method.upper() for method in route} == table[path], path
    changing = {method for methods in PERMISSIONS.values() for method, one in methods.items() if one.action}
    assert changing == {"POST", "PUT", "PATCH", "DELETE"}


def test_every_route_has_its_heading_in_the_documentation(serve):
    """docs/api.md has one heading per path, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    documented = {line.split()[-1] for line in page.splitlines() if line.startswith("## ")}
    paths = serve(BackendTwin([{"__name__": "up"}], regular(1, 1))).get("/api/v1/openapi.json").json()["paths"]
    assert documented == {
        *paths,
        "/api/v1/openapi.json",
        "/",
        "/status",
        "/ws/stream",
    }
