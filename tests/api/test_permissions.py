"""The table of permissions against the routes there are, and every role by every route and method."""

from fastapi import FastAPI
from starlette.routing import Route

from nissa.access.roles import Role, Scope
from nissa.api.app import MODULES
from nissa.api.permissions import PERMISSIONS, UNLISTED, permission_of

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
QUERIES_BY_POST = 10


def declared() -> dict[str, set[str]]:
    """Path -> methods of every route."""
    found: dict[str, set[str]] = {"/api/v1/openapi.json": {"GET"}}
    for module in MODULES:
        for route in module.router.routes:
            if isinstance(route, Route):
                found.setdefault(route.path, set()).update((route.methods or set()) - {"HEAD"})
    return found


def test_every_route_is_listed_with_its_methods():
    """The table names each route and each of its methods, and nothing else."""
    assert isinstance(FastAPI().router.routes, list)
    assert {path: set(methods) for path, methods in PERMISSIONS.items()} == declared()


def test_what_changes_is_named_and_needs_more_than_a_viewer():
    """Every method but GET is a query by POST, or names its change and needs an operator."""
    for path, methods in PERMISSIONS.items():
        for method, permission in methods.items():
            if method == "GET":
                assert not permission.action, path
            elif permission.action and not permission.action.startswith("session."):
                assert permission.role >= Role.OPERATOR, path
                assert permission.scope is Scope.CONTROL, path
            elif not permission.action:
                assert permission.scope in (Scope.QUERY, Scope.INGEST), path


def test_what_is_not_listed_is_for_admins():
    """A route or method that is missing from the table is closed."""
    assert permission_of("GET", "/new") is UNLISTED
    assert permission_of("PATCH", "/api/v1/pins") is UNLISTED
    assert permission_of("HEAD", "/api/v1/pins") == permission_of("GET", "/api/v1/pins")
