"""The recorder: bounded counts and lines, kept while nobody takes them."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nissa.api.bronze_routes import METRICS_MAX
from nissa.config.bronze import BronzeSettings
from nissa.middleware import recorder as module
from nissa.middleware.recorder import KEYS_MAX, LINES_AT_ONCE, RequestRecorder


class Receiver:
    """Takes what is posted, with ``status``."""

    def __init__(self) -> None:
        self.status, self.bodies, self.tokens = 202, [], []
        receiver = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.tokens.append(self.headers.get("Authorization"))
                receiver.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that takes everything."""
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_delivery_that_fails_is_repeated(receiver: Receiver) -> None:
    """Lines come once, counts are cumulative and begin with 0."""
    own = RequestRecorder("shop", receiver.url, token="t", every_s=1000)
    own.record("GET", "/orders/{id}", 200, 0.02)
    own.record("GET", "/orders/{id}", 503, 3.0, "00-abc", "OSError: gone")
    receiver.status = 503
    assert (own.flush(), own.failures) == (False, 1)
    receiver.status = 202
    own.record("GET", "/orders/{id}", 200, 0.2)
    assert own.flush()
    own.close()
    assert receiver.tokens[0] == "Bearer t"
    assert [len(body["logs"]) for body in receiver.bodies] == [1, 1, 0, 0]
    assert {one["value"] for body in receiver.bodies[:2] for one in body["metrics"]} == {0}
    (line,) = receiver.bodies[1]["logs"]
    assert (line["level"], line["trace_id"]) == ("ERROR", "00-abc")
    assert line["message"] == "GET /orders/{id} 503: OSError: gone"
    found = {
        (one["name"], one["tags"]["status"], one["tags"].get("le")): one["value"]
        for one in receiver.bodies[-1]["metrics"]
    }
    name = "http_request_duration_seconds"
    assert found[f"{name}_count", "200", None] == 2
    assert [found[f"{name}_bucket", "200", le] for le in ("0.01", "0.025", "0.25", "+Inf")] == [0, 1, 2, 2]


def test_keys_and_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further routes count as other; further lines are dropped and counted, also where nobody answers."""
    monkeypatch.setattr(module, "LINES_MAX", 3)
    own = RequestRecorder("shop", "http://127.0.0.1:9", every_s=1000)
    for number in range(KEYS_MAX + 5):
        own.record("GET", f"/{number}", 200 if number > 4 else 500, 0.0)
    assert own.dropped == 2
    assert not own.flush()
    assert not own.flush()
    assert (own.failures, own.dropped) == (2, 2)


def test_many_routes_and_invented_methods(receiver: Receiver) -> None:
    """As many combinations as are kept are sent in bodies that Nissa takes, each once; methods that HTTP does not have
    take no places of routes."""
    own = RequestRecorder("shop", receiver.url, every_s=1000)
    for number in range(KEYS_MAX):
        own.record(f"X{number}", "unrouted", 404, 0.0)
    for number in range(KEYS_MAX - 1):
        own.record("GET", f"/orders/{number}/{{id}}", 500, 0.0)
    assert own.flush()
    found = [
        one["tags"]
        for body in receiver.bodies
        for one in body["metrics"]
        if one["name"].endswith("_count") and one["value"]
    ]
    assert {one["route"] for one in found} == {"unrouted", *(f"/orders/{n}/{{id}}" for n in range(KEYS_MAX - 1))}
    assert (len(found), found[0]["method"]) == (KEYS_MAX, "other")
    assert all(len(body["metrics"]) <= METRICS_MAX for body in receiver.bodies)
    assert all(len(json.dumps(body)) < BronzeSettings().telemetry_bytes_max for body in receiver.bodies)
    assert [len(body["logs"]) for body in receiver.bodies] == [LINES_AT_ONCE] + [0] * (len(receiver.bodies) - 1)
    own.close()


def test_processes_have_series_of_their_own(receiver: Receiver) -> None:
    """By the machine and the process, unless the application names its instances."""
    for instance in ("", "blue-1"):
        own = RequestRecorder("shop", receiver.url, every_s=1000, instance=instance)
        own.record("GET", "/", 200, 0.01)
        own.close()
    found = {one["tags"]["instance"] for body in receiver.bodies for one in body["metrics"]}
    assert found == {f"{socket.gethostname()}:{os.getpid()}", "blue-1"}
