"""Answers on the API's socket while the directory is opened, with the progress of recovery.

    GET HEAD /-/healthy     200
    GET HEAD /-/ready       503, with how much of the journal is replayed
    GET      /api/status    200, mode ``recovering`` and the same as JSON
    GET      browsers       503, a page that loads itself again until the pages of Nissa are there
    anything else           503 with Retry-After

A browser is whoever asks for ``text/html``. The page has no script, so its headers allow none.

The API's own libraries load later, and it takes the same socket then. Only the head of a request is read, up to a
limit; every connection is closed after its answer.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nissa.ingest.progress import Progress

HEAD_BYTES_MAX = 64 * 1024
HEAD_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 64
RETRY_S = 1
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{retry_s}">
<meta name="color-scheme" content="light dark">
<title>Nissa is starting</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1rem }}
progress {{ width: 100% }}</style>
<h1>Nissa is starting</h1>
<p role="status">{text}</p>
{bar}
<p>Samples are taken again when it is done. This page loads the rest by itself.</p>
</html>
"""


@asynccontextmanager
async def waiting_room(listener: socket.socket, progress: Progress) -> AsyncIterator[None]:
    """Answer on ``listener``, which stays the caller's, until the block ends."""
    open_connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(open_connections) >= CONNECTIONS_MAX:
            writer.close()
            return
        open_connections.add(task)
        try:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(HEAD_TIMEOUT_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(answer(head, progress))
                    await writer.drain()
        finally:
            open_connections.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, sock=listener.dup(), limit=HEAD_BYTES_MAX)
    try:
        yield
    finally:
        server.close()
        for task in list(open_connections):
            task.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)


def answer(head: bytes, progress: Progress) -> bytes:
    """The whole answer to a request with this head."""
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    kind, retry = "text/plain; charset=utf-8", f"Retry-After: {RETRY_S}\r\n"
    status, text = "503 Service Unavailable", _told(progress)
    if method in ("GET", "HEAD") and path == "/-/healthy":
        status, text, retry = "200 OK", "Nissa is Healthy.\n", ""
    elif method == "GET" and path == "/api/status":
        status, kind, retry = "200 OK", "application/json", ""
        text = json.dumps({"mode": "recovering", "recovery": progress.facts()})
    elif method == "GET" and _wants_page(head):
        kind, text = "text/html; charset=utf-8", _page(progress)
    body = text.encode()
    lines = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nX-Content-Type-Options: nosniff\r\n{retry}"
    lines += f"Content-Security-Policy: {POLICY}\r\nCache-Control: no-store\r\n"
    lines += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lines.encode() + (b"" if method == "HEAD" else body)


def _wants_page(head: bytes) -> bool:
    """True if the Accept header names HTML."""
    lines = head.lower().split(b"\r\n")
    return any(line.startswith(b"accept:") and b"text/html" in line for line in lines)


def _page(progress: Progress) -> str:
    facts = progress.facts()
    bar = f'<progress max="100" value="{facts["percent"]}"></progress>' if facts["bytes_total"] else ""
    return PAGE.format(retry_s=RETRY_S, text=_told(progress), bar=bar)


def _told(progress: Progress) -> str:
    facts = progress.facts()
    if not facts["bytes_total"]:
        return "Nissa is not ready: the directory is being opened.\n"
    done = f"{facts['percent']} % of {facts['bytes_total']} bytes"
    return f"Nissa is not ready: recovering, {done} of the journal are replayed.\n"
