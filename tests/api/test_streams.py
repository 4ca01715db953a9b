"""The live stream over real WebSockets: status, subscriptions, resumption, bounds, origins, slow clients."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from nissa.access.roles import Role, Scope
from nissa.access.tokens import ApiToken, add_token
from nissa.config.access import Access
from nissa.config.stream import Stream
from nissa.config.tree import Api
from nissa.query.api_counts import ApiCounts
from oracle.backend_twin import BackendTwin, regular

NOW_MS = 1_732_190_009_000  # of the clock of tests/api
QUICK = Stream(interval_ms=100, events_interval_ms=100)


def twin() -> BackendTwin:
    """Two series."""
    return BackendTwin([{"__name__": "up", "n": str(n)} for n in range(2)], regular(2, 3))


def opened(client: httpx.Client, **options: Any) -> ClientConnection:
    """A stream of the API behind ``client``."""
    address = str(client.base_url).rstrip("/").replace("http", "ws") + "/ws/stream"
    return connect(address, max_size=None, open_timeout=60, **options)


def message(stream: ClientConnection, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first message that is wanted."""
    while True:
        found: dict[str, Any] = json.loads(stream.recv(timeout=60))
        if wanted(found):
            return found


def ask(stream: ClientConnection, **asked: Any) -> dict[str, Any]:
    """Send a message, and the answer or error."""
    stream.send(json.dumps(asked))
    return message(stream, lambda one: one["type"] in ("subscribed", "unsubscribed", "pong", "error"))


def test_status_comes_at_once_and_again(serve, more_facts):
    """Every client gets queue depth, number of alerts and the mode, without asking."""
    more_facts["mode"] = lambda: {"mode": "conservative"}
    client = serve(twin(), Api(stream=QUICK))
    with opened(client) as stream:
        for _ in range(2):
            assert json.loads(stream.recv(timeout=60)) == {
                "type": "status",
                "time_ms": NOW_MS,
                "queue_depth": 0,
                "alert_count": 0,
                "conservative_mode": True,
                "mode": "conservative",
            }


def test_subscriptions(serve):
    """A query is answered at once and again; alerts come when they change; a bad request gets an error, and goes on."""
    client = serve(twin(), Api(stream=QUICK))
    with opened(client) as stream:
        assert ask(stream, type="subscribe", id="q", channel="query", query="count(up) * 0 + 7") == {
            "type": "subscribed",
            "id": "q",
        }
        for _ in range(2):
            found = message(stream, lambda one: one["type"] == "query")
            assert (found["id"], found["data"]["resultType"]) == ("q", "vector")
        assert ask(stream, type="subscribe", id="a", channel="alerts")["type"] == "subscribed"
        assert message(stream, lambda one: one["type"] == "alerts")["alerts"] == []
        for asked, text in (
            ({"type": "subscribe", "id": "b", "channel": "query", "query": "sum("}, "parse error"),
            ({"type": "subscribe", "id": "b", "channel": "events", "level": ["loud"]}, "level"),
            ({"type": "subscribe", "id": "b", "channel": "events", "cursor": "x"}, "cursor"),
            ({"type": "subscribe", "id": "b"}, "channel"),
            ({"type": "subscribe", "id": "", "channel": "alerts"}, "id"),
            ({"type": "shout"}, "cannot be read"),
        ):
            assert text in ask(stream, **asked)["error"]
        assert ask(stream, type="unsubscribe", id="q")["type"] == "unsubscribed"
        assert ask(stream, type="ping") == {"type": "pong"}


def test_bounds_of_a_client(serve, more_facts):
    """Subscriptions, expressions, messages and clients are bounded, and each bound names its setting."""
    counts = more_facts["api_counts"] = ApiCounts()
    settings = Stream(interval_ms=100, subscriptions_max=2, queries_max=1, clients_max=2, messages_per_minute_max=6)
    client = serve(twin(), Api(stream=settings))
    with opened(client) as stream, opened(client) as other:
        assert ask(stream, type="subscribe", id="q", channel="query", query="up")["type"] == "subscribed"
        assert "queries_max" in ask(other, type="subscribe", id="r", channel="query", query="up + 1")["error"]
        assert ask(other, type="subscribe", id="r", channel="query", query="up")["type"] == "subscribed"
        assert ask(stream, type="subscribe", id="a", channel="alerts")["type"] == "subscribed"
        assert "subscriptions_max" in ask(stream, type="subscribe", id="b", channel="alerts")["error"]
        with opened(client) as third, pytest.raises(ConnectionClosed, match="clients_max"):
            third.recv(timeout=60)
        assert (counts.streams, counts.streams_failed, counts.stream_clients) == (3, 1, 2)
        for _ in range(3):
            ask(stream, type="ping")
        with pytest.raises(ConnectionClosed, match="messages_per_minute_max"):
            ask(stream, type="ping")
        message(other, lambda one: one["type"] == "query")


def test_a_slow_client_is_told_and_dropped(serve, more_facts):
    """A client that reads nothing is ended with the reason, and counted; others go on."""
    counts = more_facts["api_counts"] = ApiCounts()
    series = [{"__name__": "up", "long": f"{n:04}" + "x" * 2_000} for n in range(1_000)]
    client = serve(BackendTwin(series, regular(1_000, 1)), Api(stream=Stream(interval_ms=100, buffer_bytes_max=2**22)))
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect((client.base_url.host, client.base_url.port))
    with opened(client, sock=small, max_queue=1) as slow, opened(client) as other:
        slow.send(json.dumps({"type": "subscribe", "id": "q", "channel": "query", "query": "up offset -9s or up"}))
        time.sleep(1.5)
        with pytest.raises(ConnectionClosed) as ended:
            message(slow, lambda _: False)
        told = ended.value.rcvd  # none where it did not read so far within five seconds
        assert told is None or "too slow" in told.reason
        assert json.loads(other.recv(timeout=60))["type"] == "status"
        assert (counts.streams, counts.streams_failed) == (2, 1)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_other_origins_open_no_stream(serve, origin):
    """The origin must be that of the host; programs send none."""
    with pytest.raises(InvalidStatus, match="403"):
        opened(serve(twin()), origin=origin)


def test_the_right_to_a_stream(serve, database, more_facts):
    """A stream needs a user of its scope."""
    more_facts["database"] = lambda: database
    client = serve(twin(), Api(access=Access(True), stream=QUICK))
    with pytest.raises(InvalidStatus, match="401"):
        opened(client)
    tokens = {
        scope: add_token(database, ApiToken(scope.value, Role.VIEWER, (scope,), NOW_MS, 0))
        for scope in (Scope.QUERY, Scope.STREAM)
    }
    with pytest.raises(InvalidStatus, match="403"):
        opened(client, additional_headers={"Authorization": f"Bearer {tokens[Scope.QUERY]}"})
    with opened(client, additional_headers={"Authorization": f"Bearer {tokens[Scope.STREAM]}"}) as stream:
        assert json.loads(stream.recv(timeout=60))["type"] == "status"
