"""One client of the stream: what it subscribed to, and what it has not taken yet.

publish ──► buffer (``api.stream.buffer_size_max``) ──► the connection
              full: the client is dropped, with the reason

{"type":"subscribe","id":"a","channel":"alerts"}
{"type":"subscribe","id":"e","channel":"events","level":["error"],"cursor":"1732190000123.2"}
{"type":"subscribe","id":"q","channel":"query","query":"up"}
{"type":"unsubscribe","id":"a"}
{"type":"ping"}
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from nissa.access.roles import Principal
from nissa.config.stream import Stream
from nissa.model.errors import BadQuery
from nissa.promql.parse import read_expression
from nissa.query.events import EventRequest, Position, read_cursor, read_levels

ID_CHARACTERS_MAX: Final = 64
SLOW: Final = 1013  # close code: try again later
REFUSED: Final = 1008  # close code: policy
MINUTE_S: Final = 60.0

Name = Literal["alerts", "events", "query"]


class ClientMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message of a client. cursor: of the last events it has, to continue behind them."""

    type: Literal["subscribe", "unsubscribe", "ping"]
    id: str = ""
    channel: Name | None = None
    query: str = ""
    source: tuple[str, ...] = ()
    level: tuple[str, ...] = ()
    q: str = ""
    cursor: str = ""


class Subscription(msgspec.Struct):
    """query: its expression. events: their filter. cursor: of events. sent: the last content of alerts."""

    id: str
    channel: Name
    query: str = ""
    events: EventRequest | None = None
    cursor: Position | None = None
    sent: bytes = b""


class StreamClient:
    """A connected client. Lives on the loop."""

    def __init__(self, principal: Principal, settings: Stream, drop: Callable[[int, str], None]) -> None:
        """principal: who it is. drop: ends the connection with a code and a reason, at once."""
        self.principal = principal
        self.subscriptions: dict[str, Subscription] = {}
        self.is_dropped = False
        self._settings = settings
        self._drop = drop
        self._buffer: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._ready = asyncio.Event()
        self._received: deque[float] = deque()

    def publish(self, message: bytes) -> None:
        """Buffer a message; drops the client that has no room for it."""
        if self.is_dropped:
            return
        self._buffered_bytes += len(message)
        if self._buffered_bytes > self._settings.buffer_bytes_max:
            limit = f"{self._settings.buffer_bytes_max} bytes (api.stream.buffer_size_max)"
            self.drop(SLOW, f"too slow: more than {limit} were not read")
            return
        self._buffer.append(message)
        self._ready.set()

    async def take(self) -> bytes:
        """The next message, which counts as taken once the next one is asked for."""
        while not self._buffer:
            self._ready.clear()
            await self._ready.wait()
        return self._buffer.popleft()

    def taken(self, message: bytes) -> None:
        """Note that the connection has taken a message."""
        self._buffered_bytes -= len(message)

    def drop(self, code: int, reason: str) -> None:
        """End the connection."""
        if not self.is_dropped:
            self.is_dropped = True
            self._buffer.clear()
            self._drop(code, reason)

    def receive(self, text: str | bytes, now_s: float) -> bytes:
        """Handle a message of the client. Returns: the answer. Raises: BadQuery."""
        self._received.append(now_s)
        while self._received[0] <= now_s - MINUTE_S:
            self._received.popleft()
        if len(self._received) > self._settings.messages_per_minute_max:
            self.drop(REFUSED, "too many messages (api.stream.messages_per_minute_max)")
            return b""
        try:
            asked = msgspec.json.decode(text, type=ClientMessage)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadQuery(f"a message cannot be read: {error}") from None
        if asked.type == "ping":
            return b'{"type":"pong"}'
        if not 1 <= len(asked.id) <= ID_CHARACTERS_MAX:
            raise BadQuery(f"a subscription has an id of 1 to {ID_CHARACTERS_MAX} characters")
        if asked.type == "unsubscribe":
            self.subscriptions.pop(asked.id, None)
        else:
            self._subscribe(asked)
        return msgspec.json.encode({"type": f"{asked.type}d", "id": asked.id})

    def _subscribe(self, asked: ClientMessage) -> None:
        if asked.id not in self.subscriptions and len(self.subscriptions) >= self._settings.subscriptions_max:
            limit = f"{self._settings.subscriptions_max} (api.stream.subscriptions_max)"
            raise BadQuery(f"subscription {asked.id!r} is over the limit of {limit}")
        self.subscriptions[asked.id] = subscription_of(asked)


def subscription_of(asked: ClientMessage) -> Subscription:
    """The subscription that a client asks for. Raises: BadQuery."""
    if asked.channel is None:
        raise BadQuery("a subscription has a channel: alerts, events or query")
    if asked.channel == "query":
        read_expression(asked.query)
        return Subscription(asked.id, "query", query=asked.query)
    if asked.channel == "events":
        wanted = EventRequest(sources=frozenset(asked.source), levels=read_levels(asked.level), text=asked.q)
        return Subscription(
            asked.id, "events", events=wanted, cursor=read_cursor(asked.cursor) if asked.cursor else None
        )
    return Subscription(asked.id, "alerts")


def fault(asked_id: str, error: Exception) -> bytes:
    """An error message for a client. asked_id: id of the subscription; empty: the error belongs to none."""
    content: dict[str, Any] = {"type": "error", "error": str(error)}
    return msgspec.json.encode({**content, "id": asked_id} if asked_id else content)
