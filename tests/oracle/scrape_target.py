"""A target to scrape: a real HTTP server on a free port, whose pages a test sets and whose requests it reads."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Target:
    """pages: path -> (status, headers, body), or a body of text 0.0.4. requests: (path, headers) in their order.

    zipped: pages are compressed. authorization: what requests must say; empty for anything. go: answers wait for it.
    """

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.pages: dict[str, Any] = {"/metrics": b"up_since 1\n"}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.zipped = False
        self.authorization = ""
        self.go = threading.Event()
        self.go.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: Target

    def do_GET(self) -> None:
        target = self.target
        target.requests.append((self.path, dict(self.headers.items())))
        target.go.wait()
        page = target.pages.get(self.path.split("?")[0], (404, {}, b"no such page"))
        if target.authorization and self.headers.get("Authorization") != target.authorization:
            page = (401, {}, b"")
        status, headers, body = page if isinstance(page, tuple) else (200, {"Content-Type": TEXT}, page)
        if target.zipped and status == 200:
            headers, body = {**headers, "Content-Encoding": "gzip"}, gzip.compress(body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # the other side has enough
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: standard error is for what goes wrong."""


@contextmanager
def scrape_target(port: int = 0) -> Iterator[Target]:
    """A server until the end of the block."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    handler.target = target = Target(server.server_address[1])  # type: ignore[attr-defined] # set on the class made above
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield target
    finally:
        target.go.set()
        server.shutdown()
        server.server_close()
        thread.join()
