"""Submits the frames of one source to the engine and waits for their receipts.

    source ── send ──► Inlet ── Frame ──► intake
    source ◄─ Receipt ─ Mailbox ◄── outcome (commit thread) ──┘

While the engine is under pressure, ``send`` waits before it submits the frame, so a source that awaits ``send`` stops
reading. Several frames may be in flight at once: one ``send`` per task.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from nissa.model.errors import NissaError
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.intake import Intake, Outcome
from nissa.model.receipt import Receipt
from nissa.model.units import SECOND_MS
from nissa.safeguards.pace import ReadingPace
from nissa.safeguards.priority import Priority
from nissa.safeguards.rate_limits import first_refusal
from nissa.sources.mailbox import Mailbox

PRESSURE_POLL_S: Final = 0.005
RATE_POLL_S: Final = 0.1

_Reply = tuple[asyncio.Future[Receipt], Outcome]


class Inlet:
    """Sends the frames of one source. Everything but the intake's callback runs on the loop."""

    def __init__(
        self, intake: Intake, source: Source, now_ms: Callable[[], int], pace: ReadingPace | None = None
    ) -> None:
        """source: counted under this key in ``/api/v1/accounting``. now_ms: wall clock, Unix milliseconds.

        pace: of a source that reads a bus.
        """
        self._intake = intake
        self._source = source
        self._mailbox: Mailbox[_Reply] = Mailbox(asyncio.get_running_loop(), _resolve)
        self.now_ms = now_ms
        self.pace = ReadingPace() if pace is None else pace

    async def send(
        self,
        codec: Codec,
        body: bytes,
        *,
        encoding: Encoding = Encoding.IDENTITY,
        delimited: bool = False,
        context: bytes = b"",
        received_ms: int | None = None,
        plain: bytes | None = None,
        priority: Priority = Priority.NORMAL,
    ) -> Receipt:
        """Submit one frame and wait until it is durable in the mode in force.

        body: as received, compressed by ``encoding``. delimited: messages, each behind its varint length.
        context: what else the source knew (``model.context``), encoded. received_ms: when the body arrived, Unix
        milliseconds; now where it is not given. plain: ``body`` decompressed, where that is known.
        priority: under pressure frames of a higher one are sent for longer.
        Raises: NissaError where nothing of the frame was stored; Unavailable among them is worth a retry.
        """
        # The intake is polled from several threads and has no event.
        while self._intake.pressure or not self.pace.admits(priority):  # noqa: ASYNC110
            await asyncio.sleep(PRESSURE_POLL_S)
        loop = asyncio.get_running_loop()
        buckets = self.pace.buckets(self._source, codec, int(loop.time() * SECOND_MS))
        while buckets and (refusal := first_refusal(buckets, int(loop.time() * SECOND_MS))) is not None:  # noqa: ASYNC110
            await asyncio.sleep(min(refusal.retry_after_s, RATE_POLL_S))
        reply: asyncio.Future[Receipt] = loop.create_future()
        received_ms = self.now_ms() if received_ms is None else received_ms
        frame = Frame(codec, encoding, self._source, received_ms, body, delimited, context, plain)
        self._intake.submit(frame, lambda outcome: self._mailbox.post((reply, outcome)))
        receipt = await reply
        for bucket in buckets:
            bucket.charge(receipt, int(loop.time() * SECOND_MS))
        return receipt


def _resolve(item: _Reply) -> None:
    """Give the outcome to the waiting task; it may have been cancelled."""
    reply, outcome = item
    if reply.done():
        return
    if isinstance(outcome, NissaError):
        reply.set_exception(outcome)
    else:
        reply.set_result(outcome)
