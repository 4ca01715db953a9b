"""Messages of a durable consumer of JetStream, pulled in batches over one inbox.

    Pull ──{"batch", "max_bytes", "expires"}──► $JS.API.CONSUMER.MSG.NEXT.<stream>.<durable>
    take ◄── messages, as many as have come ◄── inbox ◄── messages, then a status: none left, time over, consumer gone

One request is open at a time, and the next is made when the last has ended and its messages were taken: at most one
batch waits here. The library's own fetch makes a task for each message; this takes them as they are parsed.
"""

import asyncio
import json
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg

from nissa.safeguards.pace import ReadingPace

_STATUS: Final = "Status"
_CONFLICT: Final = "409"
_NANOSECONDS: Final = 1_000_000_000
GRACE_S: Final = 2.0  # beyond the time that a request is open: its end was lost then


class Delivered(NamedTuple):
    """A message, the number of its deliveries, and its sequence number in the stream."""

    deliveries: int
    sequence: int
    message: Msg


class Pull:
    """One inbox of one connection. gone: the consumer was deleted while a request was open."""

    def __init__(
        self,
        client: Client,
        stream: str,
        durable: str,
        batch: int,
        expires_s: float,
        bytes_max: int,
        pace: ReadingPace | None = None,
    ) -> None:
        """batch: messages of one request, fewer where ``pace`` says so. bytes_max: of them, at least the largest
        message of the server."""
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._batch = batch
        self._expires_s = expires_s
        self._pace = ReadingPace() if pace is None else pace
        self._bytes_max = max(bytes_max, client.max_payload)
        self._inbox = ""
        self._open = 0  # messages that the request may still bring
        self._found: list[Delivered] = []
        self._heard_any = asyncio.Event()
        self._subscription: Any = None
        self.gone = False

    async def start(self) -> None:
        """Subscribe to an inbox of its own."""
        self._inbox = self._client.new_inbox()
        limit = 2 * self._batch + 1
        self._subscription = await self._client.subscribe(
            self._inbox, cb=self._heard, pending_msgs_limit=limit, pending_bytes_limit=0
        )

    async def stop(self) -> None:
        """Take nothing more; what was not acknowledged comes again."""
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()

    async def take(self) -> list[Delivered]:
        """Messages that have come, at least one, or none where a request ended without any."""
        if not self._found:
            self._heard_any.clear()
            if not self._open:
                await self._ask()
            try:
                await asyncio.wait_for(self._heard_any.wait(), self._expires_s + GRACE_S)
            except TimeoutError:
                self._open = 0
        found, self._found = self._found, []
        if found and not self._open and not self.gone:
            await self._ask()  # the next ones come while these are stored
        return found

    async def _ask(self) -> None:
        self._open = self._pace.batch(self._batch)
        expires_ns = int(self._expires_s * _NANOSECONDS)
        request = {"batch": self._open, "expires": expires_ns, "max_bytes": self._bytes_max}
        await self._client.publish(self._subject, json.dumps(request).encode(), reply=self._inbox)

    async def _heard(self, message: Msg) -> None:
        headers = message.headers
        if headers is not None and _STATUS in headers and not message.reply:
            self._open = 0
            self.gone |= headers[_STATUS] == _CONFLICT and "onsumer" in headers.get("Description", "")
        else:
            self._open -= 1
            self._found.append(Delivered(*delivery_of(message.reply), message))
        self._heard_any.set()


def delivery_of(reply: str) -> tuple[int, int]:
    """(deliveries, sequence in the stream), from the subject that a message of JetStream is acknowledged to.

    ``$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.…``, or with a domain and an account behind ``ACK``.
    """
    parts = reply.split(".")
    at = 4 if len(parts) < 11 else 6
    return int(parts[at]), int(parts[at + 1])
