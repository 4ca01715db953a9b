"""The WSGI middleware with the standard library's own server side."""

from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from nissa.middleware import WsgiMiddleware


class Recorded:
    """Remembers requests."""

    def __init__(self) -> None:
        self.requests: list[tuple] = []

    def record(self, *request: object) -> None:
        self.requests.append(request)


def call(app: object, path: str) -> bytes:
    """The body of GET path."""
    environ = {"PATH_INFO": path, "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": ""}
    setup_testing_defaults(environ)
    parts = validator(app)(environ, lambda *_: lambda _part: None)
    try:
        return b"".join(parts)
    finally:
        parts.close()


def test_requests_are_recorded_when_their_body_is_closed() -> None:
    """With the route of the environment, of the function, or none; a failure counts as 500 and is raised."""
    recorded = Recorded()

    def app(environ: dict, start_response: object) -> list[bytes]:
        if environ["PATH_INFO"] == "/fails":
            raise ValueError("broken")
        if environ["PATH_INFO"].startswith("/orders"):
            environ["nissa.route"] = "/orders/<id>"
        start_response("201 Created", [("Content-Type", "text/plain")])
        return [b"a", b"b"]

    wrapped = WsgiMiddleware(app, recorded, route=lambda environ: "/x" if environ["PATH_INFO"] == "/1" else "")
    assert call(wrapped, "/orders/4711") == b"ab"
    assert call(wrapped, "/1") == call(wrapped, "/2") == b"ab"
    with pytest.raises(ValueError, match="broken"):
        call(wrapped, "/fails")
    found = [(route, status) for _, route, status, _, _, _ in recorded.requests]
    assert found == [("/orders/<id>", 201), ("/x", 201), ("unrouted", 201), ("unrouted", 500)]
    assert recorded.requests[-1][-1] == "ValueError: broken"
