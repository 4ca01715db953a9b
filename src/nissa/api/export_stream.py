"""The answer of an export: a stream whose chunks are computed on a worker thread.

A chunk is computed when the previous one has been sent, so memory does not grow with the export, and a slow reader
delays only itself. An error before the first chunk is a proper error answer. After that the connection is closed
before the end of the body, which clients see as an incomplete answer.

If a file is damaged, the export continues with the other files and then ends in the same way. Blocks
in quarantine, and blocks whose file is gone, are known before anything is read: the header X-Nissa-Missing names them,
and the answer is complete otherwise.

The deadline restarts with each chunk, so an export may last as long as it makes progress. The connection disconnects a
client that reads nothing (``connection.py``); if the client disconnects, the work ends at the next chunk.
"""

from collections.abc import Sequence
from pathlib import Path

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nissa.api.chunks import Chunks, canceled_by
from nissa.api.content_coding import choose_coding, encode
from nissa.api.parameters import Parameters, read_parameters
from nissa.api.state import ApiState
from nissa.files.checked_file import FileGone
from nissa.model.errors import Damaged
from nissa.query.export import OnDamage, export_samples
from nissa.query.export_form import ExportForm, read_form
from nissa.query.json_lines import read_stale
from nissa.query.limits import Allowance
from nissa.query.resolution import read_selected
from nissa.query.window_tables import export_windows
from nissa.store.quarantine import Quarantined

MISSING_MAX = 20  # blocks named in the header

log = structlog.get_logger()


class ExportStream(Response):
    """One export. Everything happens when it is called, as its place must be given back however it ends."""

    def __init__(self, api_state: ApiState, request: Request) -> None:
        super().__init__()
        self._api_state = api_state
        self._request = request
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._api_state.check_export()
            parameters = await read_parameters(self._request, self._api_state.facts.now_ms())
            allowance = self._api_state.allowance()
            async with self._api_state.exports.place(), canceled_by(receive, allowance):
                await self._stream(parameters, allowance, send)
        except Exception as error:  # the edge: answered where possible, always counted and logged
            answer = self._api_state.failed(error)
            if not self._started:
                await answer(scope, receive, send)
                return
            log.warning("export aborted after it had begun", error=str(error) or type(error).__name__)

    async def _stream(self, parameters: Parameters, allowance: Allowance, send: Send) -> None:
        api_state = self._api_state
        form = read_form(parameters.text("format", "jsonl"))
        accepted = self._request.headers.get("accept-encoding", "")
        coding = choose_coding(accepted) if form.compressible else ""
        damages: list[Damaged] = []
        missing: list[Damaged] = []
        look_at = api_state.noting({})

        def note(damage: Damaged) -> None:
            (missing if isinstance(damage, Quarantined | FileGone) else damages).append(damage)
            look_at(damage)

        chunks = await api_state.exports.run(lambda: self._chunks(parameters, form, coding, allowance, note))
        try:
            chunk = await api_state.exports.run(chunks.take)
            if chunk is None and damages:
                raise damages[0]
            await send({"type": "http.response.start", "status": 200, "headers": _headers(form, coding, missing)})
            self._started = True
            while chunk is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                allowance.extend()
                allowance.check()
                chunk = await api_state.exports.run(chunks.take)
            if damages:
                raise damages[0]
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await api_state.exports.run(chunks.close)

    def _chunks(
        self, parameters: Parameters, form: ExportForm, coding: str, allowance: Allowance, on_damage: OnDamage
    ) -> Chunks:
        selectors = parameters.selectors(needed=True)
        interval_ms = parameters.interval_ms()
        wanted = read_selected(*(parameters.text(name) for name in ("resolution", "step", "quantiles")))
        backend = self._api_state.backend
        if wanted.is_raw:
            stale = read_stale(parameters.text("stale", "drop"))
            chunks = export_samples(backend, selectors, interval_ms, form, allowance.check, on_damage, stale)
        else:
            chunks = export_windows(backend, selectors, interval_ms, form, wanted, allowance.check, on_damage)
        return Chunks(encode(chunks, coding), allowance)


def _headers(form: ExportForm, coding: str, missing: Sequence[Damaged]) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", form.media_type.encode()), (b"vary", b"accept-encoding")]
    if missing:  # each path once: an export that was restarted reports it twice
        names = sorted({Path(one.path).name for one in missing})
        headers.append((b"x-nissa-missing", f"{len(names)} blocks: {', '.join(names[:MISSING_MAX])}".encode()))
    if coding:
        headers.append((b"content-encoding", coding.encode()))
    if form is not ExportForm.JSONL:
        headers.append((b"content-disposition", f'attachment; filename="nissa-export.{form.value}"'.encode()))
    return headers
