"""Joins lines into frames by size and time, and sends one frame after the other.

    connections ── add(lines) ──► parts, bounded ── frame_bytes_max, or linger_ms ──► Inlet.send

Readers stop while it is ``full``: lines that are not read from a socket wait at their sender.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from nissa.model.errors import NissaError, Unavailable
from nissa.model.frame import Codec
from nissa.model.receipt import Receipt
from nissa.model.units import SECOND_MS
from nissa.sources.inlet import Inlet

log = structlog.get_logger()

_Pause = Callable[[bool], None]
_Settled = Callable[[Receipt], None]


class LineFrames:
    """Lines that wait for their frame, and the frame that waits for its receipt. Lives on the loop."""

    def __init__(
        self,
        inlet: Inlet,
        codec: Codec,
        *,
        frame_bytes_max: int,
        buffered_bytes_max: int,
        linger_ms: int,
        pause: _Pause,
        settled: _Settled,
    ) -> None:
        """frame_bytes_max: a frame is sent once it has so many. linger_ms: or once its first line is that old.

        buffered_bytes_max: over it ``pause(True)`` is called, and ``pause(False)`` once half of it is left.
        settled: called with the receipt of each frame.
        """
        self._inlet = inlet
        self._codec: Final = codec
        self._frame_bytes_max = frame_bytes_max
        self._buffered_bytes_max = buffered_bytes_max
        self._linger_s = linger_ms / SECOND_MS
        self._pause = pause
        self._settled = settled
        self._parts: deque[bytes] = deque()
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self.buffered_bytes = 0
        self.full = False
        self.refused = 0

    def add(self, lines: bytes) -> None:
        """Take whole lines, each with its line feed."""
        self._parts.append(lines)
        self.buffered_bytes += len(lines)
        self._some.set()
        if self.buffered_bytes >= self._frame_bytes_max:
            self._enough.set()
        if self.buffered_bytes > self._buffered_bytes_max and not self.full:
            self.full = True
            self._pause(True)

    async def run(self) -> None:
        """Send frames until cancelled."""
        while True:
            await self._some.wait()
            if not self._enough.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), self._linger_s)
            self._sending = asyncio.create_task(self._send(self._take()))
            await asyncio.shield(self._sending)

    async def finish(self) -> None:
        """Bring what is left to the inlet, after ``run`` was cancelled."""
        if self._sending is not None:
            await self._sending
        while self._parts:
            await self._send(self._take())

    def _take(self) -> bytes:
        taken: list[bytes] = []
        size = 0
        while self._parts and size < self._frame_bytes_max:
            part = self._parts.popleft()
            taken.append(part)
            size += len(part)
        self.buffered_bytes -= size
        if not self._parts:
            self._some.clear()
        if self.buffered_bytes < self._frame_bytes_max:
            self._enough.clear()
        if self.full and self.buffered_bytes <= self._buffered_bytes_max // 2:
            self.full = False
            self._pause(False)
        return b"".join(taken)

    async def _send(self, body: bytes) -> None:
        receipt = await send_when_ready(self._inlet, self._codec, body)
        if receipt is None:
            self.refused += 1
        else:
            self._settled(receipt)


async def send_when_ready(inlet: Inlet, codec: Codec, body: bytes, *, delimited: bool = False) -> Receipt | None:
    """Send one frame and retry while the engine is not ready. Returns None, and logs, if the frame is refused.

    inlet: of the source. codec: of the body. body: lines or messages. delimited: messages, each after its varint
    length.
    """
    received_ms = inlet.now_ms()
    while True:
        try:
            return await inlet.send(codec, body, delimited=delimited, received_ms=received_ms)
        except Unavailable as error:
            log.warning("a frame waits for the engine", reason=error.reason, bytes=len(body))
            await asyncio.sleep(error.retry_after_s)
        except NissaError as error:
            log.error("a frame was refused", reason=str(error), bytes=len(body))
            return None
