"""Requests of commands to a daemon."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nissa.cli.daemon_request import send_request
from nissa.model.errors import BadQuery, Unavailable


class Refusing(BaseHTTPRequestHandler):
    """Answers ``/STATUS`` with that status."""

    def do_GET(self) -> None:
        body = b'{"error": "there is no incident 99"}'
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server that refuses."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "fault"), [(400, BadQuery), (404, BadQuery), (503, Unavailable)])
def test_only_what_may_pass_is_to_be_tried_again(url: str, status: int, fault: type[Exception]) -> None:
    """A 400 or 404 is a refusal; only a 503 is to be tried again."""
    with pytest.raises(fault, match=f"answers {status}: there is no incident 99"):
        send_request(url, f"/{status}", None, 30, 1_000, {})
