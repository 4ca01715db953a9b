"""A server that takes notifications, keeps everything posted, and fails as a test sets it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

HANG = -1  # instead of a status: never answer
CUT = -2  # close the connection without an answer


class HttpReceiver:
    """answers: statuses, with headers and body where they matter, of the next requests; then 200."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.bodies: list[Any] = []
        self.raw: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.url = ""
        self.default: tuple[int, Mapping[str, str], bytes] = (200, {}, b"ok")
        self._arrived = asyncio.Event()

    async def wait_for(self, count: int) -> None:
        """Wait until so many requests have come."""
        while len(self.raw) < count:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), 60)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Take one request."""
        body = await request.read()
        self.raw.append(body)
        self.bodies.append(json.loads(body))
        self.headers.append(request.headers)
        self._arrived.set()
        told = self.answers.pop(0) if self.answers else self.default
        status, headers, content = told if isinstance(told, tuple) else (told, {}, b"told")
        if status == HANG:
            await asyncio.sleep(3_600)
        if status == CUT and request.transport is not None:
            request.transport.close()
        return web.Response(status=max(status, 200), headers=headers, body=content)


@asynccontextmanager
async def http_receiver() -> AsyncIterator[HttpReceiver]:
    """A running server."""
    found = HttpReceiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/{path:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield found
    finally:
        await runner.cleanup()
