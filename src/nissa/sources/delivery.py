"""Delivers messages of a bus in delimited frames, and returns the outcome of each message once its frame is durable.

    messages  m0 m1 m2 m3          one delimited frame ──► Inlet ──► Receipt.messages
    reasons   "" "" "too_old" ""   empty: acknowledge; else the bus's dead letters

A frame that exceeds a limit of the engine is sent again in halves, down to single messages. While the engine is
unavailable (disk, load) the frame waits here and is retried; the bus retains unacknowledged messages.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np

from nissa.codec.delimited import joined
from nissa.model.context import Context
from nissa.model.errors import JournalFailed, Malformed, TooLarge, Unavailable, UnsupportedMedia
from nissa.model.frame import Codec
from nissa.model.outcome import MessageOutcome
from nissa.model.receipt import Receipt
from nissa.safeguards.priority import Priority
from nissa.sources.inlet import Inlet

T = TypeVar("T")

RETRY_S_MAX: Final = 5.0
EMERGENCY: Final = ".emergency"
_LOST: Final = (MessageOutcome.REFUSED, MessageOutcome.SET_ASIDE)


async def deliver(
    inlet: Inlet, codec: Codec, messages: Sequence[bytes], ids: Sequence[str], stream: str, subject: str = ""
) -> list[str]:
    """Send messages as one frame, or more where limits ask for it, and wait until they are durable.

    ids: of the messages on the bus. stream, subject: the place they came by; all of it goes into the frame's context.
    Returns: for each message the reason it was refused for as a whole, empty where anything of it was taken.
    """
    if not messages:
        return []
    context = Context(stream=stream, subject=subject, ids=tuple(ids)).encode()
    try:
        receipt = await _send(inlet, codec, joined(messages), context, _priority(codec, stream))
    except (Malformed, TooLarge, UnsupportedMedia) as error:
        if len(messages) == 1:
            return [_word(error)]
        middle = len(messages) // 2
        first = await deliver(inlet, codec, messages[:middle], ids[:middle], stream, subject)
        return first + await deliver(inlet, codec, messages[middle:], ids[middle:], stream, subject)
    return _reasons(receipt, len(messages))


async def _send(inlet: Inlet, codec: Codec, body: bytes, context: bytes, priority: Priority) -> Receipt:
    """Send one frame, again and again while the engine takes none."""
    while True:
        try:
            return await inlet.send(codec, body, delimited=True, context=context, priority=priority)
        except Unavailable as error:
            await asyncio.sleep(min(error.retry_after_s, RETRY_S_MAX))
        except JournalFailed:
            await asyncio.sleep(RETRY_S_MAX)


def _priority(codec: Codec, stream: str) -> Priority:
    """Alert events, and what Esper puts on its emergency stream, go before everything else."""
    urgent = codec in (Codec.FES_EVENT, Codec.EVENT_JSON) or stream.endswith(EMERGENCY)
    return Priority.CRITICAL if urgent else Priority.NORMAL


def runs(messages: Sequence[T], size_of: Callable[[T], int], bytes_max: int) -> list[list[T]]:
    """Messages in runs of at most ``bytes_max`` each, and at least one message."""
    found: list[list[T]] = []
    room = 0
    for message in messages:
        size = size_of(message)
        if not found or size > room:
            found.append([])
            room = bytes_max
        found[-1].append(message)
        room -= size
    return found


def _reasons(receipt: Receipt, count: int) -> list[str]:
    reasons = [""] * count
    if receipt.messages is not None:
        for number in np.flatnonzero(np.isin(receipt.messages.outcome, _LOST)):
            reasons[number] = receipt.messages.of(int(number))[1] or "refused"
    return reasons


def _word(error: Malformed | TooLarge | UnsupportedMedia) -> str:
    if isinstance(error, TooLarge):
        return "too_large"
    return "malformed" if isinstance(error, Malformed) else "unsupported"
