"""The answer of an export: a stream made on a worker thread, one chunk ahead of nothing.

The next chunk is worked out when the last one has left, so memory does not grow with the export, and a slow reader
slows down nobody but itself. Until the first chunk is there an error is a proper answer. Afterwards the status line
is gone: the connection is closed before the end of the body, which every client sees as an incomplete answer.

Where a file is damaged the export goes on with all the rest, and then ends in the same way: it is not complete. What
is in quarantine is known to be missing before anything is read: the answer says so in the header X-Nissa-Missing, and
is complete otherwise.

An export may last as long as it makes progress: the deadline begins anew with each chunk, both for working it out and
for the client to take it. A client that goes away ends the work at the next chunk.
"""

import asyncio
import threading
import zlib
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nissa.mission.parameters import Parameters, read_parameters
from nissa.mission.state import Mission
from nissa.model.errors import Damaged
from nissa.query.export import OnDamage, export
from nissa.query.export_form import ExportForm, read_form
from nissa.query.limits import Deadline
from nissa.query.resolution import read_wanted
from nissa.query.window_tables import export_windows
from nissa.store.quarantine import Quarantined

MISSING_MAX = 20  # blocks named in the header
GZIP_LEVEL = 1  # the reader waits: speed over size
_GZIP_WINDOW = 16 + zlib.MAX_WBITS

log = structlog.get_logger()


class ExportStream(Response):
    """One export. Everything happens when it is called, as its place must be given back however it ends."""

    def __init__(self, mission: Mission, request: Request) -> None:
        super().__init__()
        self._mission = mission
        self._request = request
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            parameters = await read_parameters(self._request)
            async with self._mission.exports.place():
                await self._stream(parameters, receive, send)
        except Exception as error:  # the edge: told where it can be, counted and logged always
            answer = self._mission.failed(error)
            if not self._started:
                await answer(scope, receive, send)
                return
            log.warning("an export ended before its end", error=str(error) or type(error).__name__)

    async def _stream(self, parameters: Parameters, receive: Receive, send: Send) -> None:
        mission = self._mission
        deadline = mission.deadline()
        form = read_form(parameters.text("format", "jsonl"))
        zipped = form.compressible and _accepts_gzip(self._request.headers.get("accept-encoding", ""))
        damages: list[Damaged] = []
        missing: list[Damaged] = []
        look_at = mission.noting({})

        def note(damage: Damaged) -> None:
            (missing if isinstance(damage, Quarantined) else damages).append(damage)
            look_at(damage)

        chunks = await mission.exports.run(lambda: self._chunks(parameters, form, zipped, deadline, note))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            chunk = await mission.exports.run(chunks.take)
            if chunk is None and damages:
                raise damages[0]
            await send({"type": "http.response.start", "status": 200, "headers": _headers(form, zipped, missing)})
            self._started = True
            while chunk is not None and not gone.done():
                async with asyncio.timeout(mission.limits.query_timeout_ms / 1000):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                deadline.extend()
                chunk = await mission.exports.run(chunks.take)
            if damages:
                raise damages[0]
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await mission.exports.run(chunks.close)

    def _chunks(
        self, parameters: Parameters, form: ExportForm, zipped: bool, deadline: Deadline, on_damage: OnDamage
    ) -> "_Chunks":
        selectors = parameters.selectors(needed=True)
        interval_ms = parameters.interval_ms()
        wanted = read_wanted(*(parameters.text(name) for name in ("resolution", "step", "quantiles")))
        backend = self._mission.backend
        if wanted.is_raw:
            chunks = export(backend, selectors, interval_ms, form, deadline.check, on_damage)
        else:
            chunks = export_windows(backend, selectors, interval_ms, form, wanted, deadline.check, on_damage)
        return _Chunks(gzipped(chunks) if zipped else chunks)


class _Chunks:
    """Chunks that are not empty, and a ``close`` that ends the work behind them. One thread at a time gets in."""

    def __init__(self, chunks: Generator[bytes, None, None]) -> None:
        self._chunks = chunks
        self._lock = threading.Lock()  # a cancelled request closes while its thread may still be at the last chunk

    def take(self) -> bytes | None:
        """The next chunk; None at the end."""
        with self._lock:
            return next((chunk for chunk in self._chunks if chunk), None)

    def close(self) -> None:
        with self._lock:
            self._chunks.close()


def gzipped(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    """``chunks`` as one gzip stream."""
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _accepts_gzip(accepted: str) -> bool:
    for item in accepted.lower().split(","):
        coding, _, weight = item.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _headers(form: ExportForm, zipped: bool, missing: Sequence[Damaged]) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", form.media_type.encode()), (b"vary", b"accept-encoding")]
    if missing:  # each path once: an export that began again was told twice
        names = sorted({Path(one.path).name for one in missing})
        headers.append((b"x-nissa-missing", f"{len(names)} blocks: {', '.join(names[:MISSING_MAX])}".encode()))
    if zipped:
        headers.append((b"content-encoding", b"gzip"))
    if form is not ExportForm.JSONL:
        headers.append((b"content-disposition", f'attachment; filename="nissa-export.{form.value}"'.encode()))
    return headers


async def _disconnected(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
