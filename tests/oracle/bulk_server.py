"""A server with the bulk API of Elasticsearch and OpenSearch, which fails as a test sets it."""

import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

VERSIONS = {"elasticsearch 7": "7.10.2", "elasticsearch 8": "8.19.0", "opensearch": "2.19.6"}
PREFIXES = {"_ilm": "elasticsearch", "_plugins": "opensearch"}
Document = dict[str, Any]


class BulkReply(msgspec.Struct):
    """An answer. headers: with it."""

    status: int
    content: Any = None
    headers: dict[str, str] = {}


class BulkServer:
    """documents: by stream and id. stored: how often each was created or met. puts: last body of each path."""

    def __init__(self, kind: str) -> None:
        self.kind, self.url = kind, ""
        self.documents: dict[tuple[str, str], Document] = {}
        self.stored: dict[tuple[str, str], int] = {}
        self.puts: dict[str, Any] = {}
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bulk_sizes: list[int] = []  # events of each bulk request
        self.bytes_max = 1 << 30
        self.policies = True  # ILM or ISM are there
        self.reply: Callable[[str, str], BulkReply | None] = lambda method, path: None  # asked first, for each request
        self.item: Callable[[Document], BulkReply | None] = lambda document: None  # asked for each event
        self.after_store: Callable[[], BulkReply | None] = lambda: None  # an answer lost behind a stored request
        self.lock = threading.Lock()

    def take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> BulkReply:
        """The answer to one request."""
        with self.lock:
            path, _, _query = path.partition("?")
            self.paths.append(f"{method} {path}")
            self.headers.append(headers)
            planned = self.reply(method, path)
            if planned is not None:
                return planned
            if len(body) > self.bytes_max:
                return BulkReply(413, {"error": "too large"})
            if headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if path.endswith("/_bulk"):
                return self._bulk(path.split("/")[1], body)
            return self._admin(method, path, json.loads(body) if body else None)

    def _admin(self, method: str, path: str, document: Any) -> BulkReply:
        server, _, _ = self.kind.partition(" ")
        first = path.split("/")[1]
        if path == "/":
            version = {"number": VERSIONS[self.kind]} | ({"distribution": server} if server == "opensearch" else {})
            return BulkReply(200, {"version": version})
        if first in PREFIXES and (PREFIXES[first] != server or not self.policies):
            return BulkReply(400, {"error": f"no handler found for uri [{path}] and method [{method}]"})
        if method == "GET":
            return self._get(path)
        if first == "_index_template" and self._refused(document):
            return BulkReply(400, {"error": {"type": "x", "reason": self._refused(document)}})
        if first == "_data_stream" and path in self.puts:
            return BulkReply(400, {"error": {"type": "resource_already_exists_exception"}})
        self.puts[path] = document
        return BulkReply(200, {"acknowledged": True})

    def _get(self, path: str) -> BulkReply:
        found = self.puts.get(path)
        if found is None:
            return BulkReply(404, {"error": {"type": "resource_not_found_exception"}})
        if "_index_template" in path:
            found = {"index_templates": [{"name": path.rsplit("/", maxsplit=1)[-1], "index_template": found}]}
        elif "_ilm" in path:
            found = {path.rsplit("/", maxsplit=1)[-1]: found}
        else:
            found = {**found, "_seq_no": 3, "_primary_term": 1}
        return BulkReply(200, found)

    def _refused(self, template: Document) -> str:
        if "lifecycle" in template["template"] and self.kind != "elasticsearch 8":
            return "unknown field [lifecycle]"
        kind = template["template"]["mappings"]["properties"]["attributes"]["type"]
        known = ("flat_object", "object") if self.kind == "opensearch" else ("flattened", "object")
        return "" if kind in known else f"No handler for type [{kind}] declared on field [attributes]"

    def _bulk(self, stream: str, body: bytes) -> BulkReply:
        assert body.endswith(b"\n")
        lines = body.splitlines()
        self.bulk_sizes.append(len(lines) // 2)
        if f"/_data_stream/{stream}" not in self.puts:
            items = [_item(404, "index_not_found_exception", "no such index") for _ in lines[::2]]
        else:
            items = [self._create(stream, *pair) for pair in zip(lines[::2], lines[1::2], strict=True)]
        lost = self.after_store()
        if lost is not None:
            return lost
        errors = any("error" in item["create"] for item in items)
        return BulkReply(200, {"errors": errors, "items": items})

    def _create(self, stream: str, action: bytes, line: bytes) -> Document:
        document = json.loads(line, object_pairs_hook=_no_name_twice)
        key = stream, json.loads(action)["create"]["_id"]
        planned = self.item(document)
        if planned is not None:
            return _item(planned.status, "planned", str(planned.content))
        self.stored[key] = self.stored.get(key, 0) + 1
        if key in self.documents:
            return _item(409, "version_conflict_engine_exception", "document already exists")
        self.documents[key] = document
        return {"create": {"status": 201}}

    def texts(self) -> list[str]:
        """Descriptions of all documents, sorted."""
        with self.lock:
            return sorted(document["description"] for document in self.documents.values())


def _no_name_twice(pairs: list[tuple[str, Any]]) -> Document:
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def _item(status: int, kind: str, reason: str) -> Document:
    return {"create": {"status": status, "error": {"type": kind, "reason": reason}}}


@contextmanager
def bulk_server(kind: str = "elasticsearch 8", certificate: tuple[Path, Path] | None = None) -> Iterator[BulkServer]:
    """A server on a free port. certificate: file of it and of its key, for TLS."""
    server = BulkServer(kind)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = server.take(self.command, self.path, dict(self.headers.items()), body)
            content = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(content)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True)
        scheme = "https"
    server.url = f"{scheme}://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
