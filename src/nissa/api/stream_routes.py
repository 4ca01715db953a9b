"""The route of the live stream, a WebSocket of JSON messages (``stream_client.py``, ``stream_content.py``)."""

import asyncio
from contextlib import suppress
from functools import partial

import msgspec
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from nissa.access.roles import LOOPBACK, Principal
from nissa.api.access_control import principal_of
from nissa.api.state import ApiState
from nissa.api.stream_client import SLOW, StreamClient, fault
from nissa.api.stream_protocol import PROTOCOL, StreamProtocol
from nissa.api.streams import Streams
from nissa.model.errors import BadQuery, NissaError

FULL = 1013  # close code: try again later

router = APIRouter()


@router.websocket("/ws/stream")
async def stream(socket: WebSocket) -> None:
    """Send status, alerts, events and results of queries until the client leaves."""
    api_state: ApiState = socket.app.state.api_state
    streams: Streams = socket.app.state.streams
    protocol: StreamProtocol = socket.scope[PROTOCOL]
    await socket.accept()
    settings, counts = api_state.limits.stream, api_state.facts.api_counts
    counts.streams += 1
    if streams.count >= settings.clients_max:
        counts.streams_failed += 1
        protocol.drop(FULL, f"{settings.clients_max} clients are connected (api.stream.clients_max)")
        return

    def drop(code: int, reason: str) -> None:
        counts.streams_failed += code == SLOW
        protocol.drop(code, reason)

    client = StreamClient(principal_of(socket), settings, drop)
    streams.join(client, partial(_identify, socket, client.principal))
    sending = asyncio.create_task(_send(socket, client))
    try:
        await _receive(socket, client, streams)
    finally:
        streams.leave(client)
        sending.cancel()
        with suppress(asyncio.CancelledError, Exception):  # the connection is gone, whatever it says
            await sending


async def _send(socket: WebSocket, client: StreamClient) -> None:
    while True:
        message = await client.take()
        await socket.send_text(message.decode())
        client.taken(message)


async def _receive(socket: WebSocket, client: StreamClient, streams: Streams) -> None:
    clock_s = asyncio.get_running_loop().time
    with suppress(WebSocketDisconnect):
        while not client.is_dropped:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or message.get("bytes") or ""
            try:
                await _handle(client, streams, text, clock_s())
            except NissaError as error:
                client.publish(fault("", error))


async def _handle(client: StreamClient, streams: Streams, text: str | bytes, now_s: float) -> None:
    answer = client.receive(text, now_s)
    if not answer:
        return
    subscription_id = str(msgspec.json.decode(answer).get("id", ""))
    subscription = client.subscriptions.get(subscription_id)
    if subscription is not None and subscription.query and streams.is_over_limit():
        client.subscriptions.pop(subscription_id)
        raise BadQuery("too many expressions are subscribed to (api.stream.queries_max)")
    client.publish(answer)
    await streams.answer(client, subscription_id)


async def _identify(socket: WebSocket, before: Principal) -> Principal:
    """The principal of a stream now."""
    if before is LOOPBACK:
        return before
    found: Principal = await socket.app.state.access_control.identify(socket.scope)
    return found
