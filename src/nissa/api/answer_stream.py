"""The answer of a query: one body if it is small, a stream if it is large, computed on worker threads.

    worker thread                                     loop
    evaluate, write the first WHOLE_BYTES ──────────► all of it: one body with its length
                                                      more: the query moves to the gate of exports
    write the next chunk ◄──────────────────────────► send it

Errors within the first WHOLE_BYTES are proper error answers. After that the connection is closed before the end of the
body, which clients see as an incomplete answer. A slow reader of a large answer occupies a place among the exports and
does not block short queries. If the client disconnects, its query ends at the next check.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nissa.api.chunks import Chunks, canceled_by
from nissa.api.content_coding import choose_coding
from nissa.api.parameters import read_parameters
from nissa.api.state import ApiState
from nissa.query.limits import Allowance

WHOLE_BYTES = 1024 * 1024

log = structlog.get_logger()
Make = Callable[[Any, Allowance], Generator[bytes, None, None]]
Read = Callable[[Request, int], Awaitable[Any]]


class AnswerStream(Response):
    """One answer. Everything happens when it is called, as its place must be given back however it ends."""

    def __init__(
        self,
        api_state: ApiState,
        request: Request,
        make: Make,
        media_type: str = "application/json",
        *,
        read: Read = read_parameters,
        coding: str | None = None,
        more_headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """make: a generator that does all the work, from its first ``next`` on. read: what it is given of the request.

        coding: what the answer is in already; None where the client chooses. more_headers: ``make`` may add to them
        until it gives its first chunk.
        """
        super().__init__(media_type=media_type)
        self._api_state = api_state
        self._request = request
        self._make = make
        self._read = read
        self._coding = coding
        self._more_headers = more_headers
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            parameters = await self._read(self._request, self._api_state.facts.now_ms())
            allowance = self._api_state.allowance()
            async with canceled_by(receive, allowance), AsyncExitStack() as places:
                await self._answer(parameters, allowance, places, (scope, receive, send))
        except Exception as error:  # the edge: answered where possible, always counted and logged
            answer = self._api_state.failed(error)
            if not self._started:
                await answer(scope, receive, send)
                return
            log.warning("response aborted after it had begun", error=str(error) or type(error).__name__)

    async def _answer(
        self, parameters: Any, allowance: Allowance, places: AsyncExitStack, edge: tuple[Any, Receive, Send]
    ) -> None:
        questions, exports = self._api_state.questions, self._api_state.exports
        accepted = self._accepted()
        chunks = Chunks(self._make(parameters, allowance), allowance)
        places.push_async_callback(self._close, chunks)
        async with questions.place():
            begun, chosen, is_whole = await questions.run(lambda: chunks.begin(WHOLE_BYTES, accepted))
            coding = chosen if self._coding is None else self._coding
            if not is_whole:
                await places.enter_async_context(exports.place())
        if is_whole:
            self._started = True
            await self._whole(begun, coding)(*edge)
        else:
            await self._stream(begun, chunks, allowance, coding, edge[2])

    def _accepted(self) -> str:
        return choose_coding(self._request.headers.get("accept-encoding", "")) if self._coding is None else ""

    async def _close(self, chunks: Chunks) -> None:
        if not chunks.closed:
            await self._api_state.exports.run(chunks.close)

    async def _stream(self, begun: bytes, chunks: Chunks, allowance: Allowance, coding: str, send: Send) -> None:
        headers = self._whole(b"", coding).raw_headers
        kept = [header for header in headers if header[0] != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": kept})
        self._started = True
        chunk: bytes | None = begun
        while chunk is not None:
            allowance.extend()
            allowance.check()
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await self._api_state.exports.run(chunks.take)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _whole(self, body: bytes, coding: str) -> Response:
        headers = {"Vary": "Accept-Encoding", **self._more_headers}
        headers |= {"Content-Encoding": coding} if coding else {}
        return Response(body, media_type=self.media_type, headers=headers)
