"""A WebSocket of the stream, with an end that does not wait for the client.

uvicorn sends a message once the client has read enough of those before, so it can neither send an error to a client
that reads nothing nor disconnect it. ``drop`` writes the end behind what is buffered, and breaks the connection a
little later.
"""

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

PROTOCOL: Final = "nissa.stream_protocol"  # in the scope of a stream
TELL_S: Final = 5.0
MESSAGE_BYTES_MAX: Final = 64 * 1024
PING_INTERVAL_S: Final = 30.0


class StreamProtocol(WebSocketsSansIOProtocol):
    """The protocol of one stream. streams: all that are open."""

    streams: set[Any]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.streams.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.streams.discard(self)
        super().connection_lost(exc)

    async def run_asgi(self) -> None:
        self.scope[PROTOCOL] = self  # type: ignore[typeddict-unknown-key]
        await super().run_asgi()

    def drop(self, code: int, reason: str) -> None:
        """End the stream now. code, reason: sent to a client that reads them within ``TELL_S``."""
        self.loop.call_later(TELL_S, self.transport.abort)
        if self.close_sent:
            return
        try:
            self.conn.send_close(code, reason)
        except InvalidState:  # the client has ended it already
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.writable.set()


def of_streams(streams: "set[StreamProtocol]") -> type[StreamProtocol]:
    """The protocol of the streams of one server, which are in the set ``streams`` while they are open."""
    return type("StreamOfServer", (StreamProtocol,), {"streams": streams})
