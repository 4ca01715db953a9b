"""All clients of the stream, and what they are sent: each content is made once for all who asked for it.

    every api.stream.interval           status to all; alerts where changed; each query once, whoever subscribed to it
    every api.stream.events_interval    events behind each cursor
    every 30 s                          users, tokens and sessions that have ended lose their streams

Nothing runs while nobody is connected. Messages are states of now, so a client that comes back subscribes again and has
everything; events continue behind the cursor that it names.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from nissa.access.roles import Principal, Role, Scope
from nissa.api.state import ApiState
from nissa.api.stream_client import REFUSED, StreamClient, Subscription, fault
from nissa.api.stream_content import (
    acknowledgements,
    alerts_content,
    events_content,
    message_of,
    query_content,
    status_message,
)
from nissa.model.errors import NissaError
from nissa.model.units import SECOND_MS
from nissa.query.events import Position

CHECK_S: Final = 30.0

Targets = list[tuple[StreamClient, Subscription]]
Identify = Callable[[], Awaitable[Principal]]

log = structlog.get_logger()


class Streams:
    """The clients of one API. Lives on the loop."""

    def __init__(self, api_state: ApiState) -> None:
        """api_state: where content is read."""
        self._api_state = api_state
        self._settings = api_state.limits.stream
        self._clients: dict[StreamClient, Identify] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def count(self) -> int:
        """Connected clients."""
        return len(self._clients)

    def join(self, client: StreamClient, identify: Identify) -> None:
        """Add a client. identify: finds out who it is now."""
        self._clients[client] = identify
        self._count()
        client.publish(status_message(self._api_state))
        if not self._tasks:
            interval_s = self._settings.interval_ms / SECOND_MS
            loops = (
                self._repeat(self._publish_status, interval_s),
                self._repeat(self._publish_queries, interval_s),
                self._repeat(self._publish_events, self._settings.events_interval_ms / SECOND_MS),
                self._repeat(self._check_clients, CHECK_S),
            )
            self._tasks = [asyncio.create_task(one) for one in loops]

    def leave(self, client: StreamClient) -> None:
        """Remove a client."""
        self._clients.pop(client, None)
        self._count()
        if not self._clients:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    def _count(self) -> None:
        self._api_state.facts.api_counts.stream_clients = len(self._clients)

    async def answer(self, client: StreamClient, subscription_id: str) -> None:
        """Send a new subscription what there is now."""
        subscription = client.subscriptions.get(subscription_id)
        if subscription is None:
            return
        if subscription.channel == "query":
            await self._publish_query(subscription.query, [(client, subscription)])
        elif subscription.channel == "alerts":
            await self._publish_alerts([(client, subscription)])
        elif subscription.cursor is None:
            subscription.cursor = Position(self._api_state.facts.now_ms())

    def is_over_limit(self) -> bool:
        """True if clients subscribe to more expressions than ``api.stream.queries_max``."""
        return len({one.query for _, one in self._subscribed("query")}) > self._settings.queries_max

    async def _repeat(self, publish: Callable[[], Coroutine[Any, Any, None]], interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            try:
                await publish()
            except NissaError as error:
                log.warning("a part of the stream is not sent", part=publish.__name__.strip("_"), reason=str(error))
            except Exception as error:  # the edge: the stream goes on without this part
                self._api_state.failed(error)

    async def _publish_status(self) -> None:
        message = status_message(self._api_state)
        for client in list(self._clients):
            client.publish(message)
        await self._publish_alerts(self._subscribed("alerts"))

    async def _publish_alerts(self, targets: Targets) -> None:
        if not targets:
            return
        known = await acknowledgements(self._api_state)
        content = await asyncio.to_thread(alerts_content, self._api_state, known)
        for client, subscription in targets:
            if subscription.sent != content:
                subscription.sent = content
                client.publish(message_of("alerts", subscription.id, content))

    async def _publish_queries(self) -> None:
        wanted: dict[str, Targets] = defaultdict(list)
        for client, subscription in self._subscribed("query"):
            wanted[subscription.query].append((client, subscription))
        for expression, targets in wanted.items():
            await self._publish_query(expression, targets)

    async def _publish_query(self, expression: str, targets: Targets) -> None:
        try:
            content = await query_content(self._api_state, expression)
        except NissaError as error:
            for client, subscription in targets:
                client.publish(fault(subscription.id, error))
            return
        for client, subscription in targets:
            client.publish(message_of("query", subscription.id, content))

    async def _publish_events(self) -> None:
        wanted: dict[tuple[Any, Position], Targets] = defaultdict(list)
        for client, subscription in self._subscribed("events"):
            if subscription.cursor is not None:
                wanted[subscription.events, subscription.cursor].append((client, subscription))
        for (filtered, cursor), targets in wanted.items():
            content, following = await events_content(self._api_state, filtered, cursor)
            for client, subscription in targets:
                subscription.cursor = following or cursor
                if content:
                    client.publish(message_of("events", subscription.id, content))

    async def _check_clients(self) -> None:
        for client, identify in list(self._clients.items()):
            principal = await identify()
            if principal.role < Role.VIEWER or Scope.STREAM not in principal.scopes:
                client.drop(REFUSED, "the session or token has ended")

    def _subscribed(self, channel: str) -> Targets:
        return [
            (client, one)
            for client in self._clients
            for one in list(client.subscriptions.values())
            if one.channel == channel
        ]
