"""Delivery of bus messages: one verdict each, halves over limits, patience while the engine takes nothing."""

import asyncio

import numpy as np
import pytest

from nissa.codec.delimited import split
from nissa.model.context import decode_context
from nissa.model.errors import NissaError, TooLarge, Unavailable
from nissa.model.frame import Codec, Frame, Source
from nissa.model.intake import Settle
from nissa.model.outcome import NO_REASON, MessageOutcome, MessageOutcomes
from nissa.model.receipt import Receipt
from nissa.model.refusal import Refusal
from nissa.sources import delivery
from nissa.sources.delivery import deliver
from nissa.sources.inlet import Inlet


class Engine:
    """Takes frames of at most two messages; those that begin with ``bad`` are set aside, with ``huge`` too large."""

    durability = "fsync"
    ready = True
    pressure = False

    def __init__(self, unavailable: int = 0) -> None:
        self.frames: list[tuple[tuple[str, ...], list[bytes]]] = []
        self._unavailable = unavailable

    def submit(self, frame: Frame, complete: Settle) -> None:
        """Complete at once."""
        complete(self._outcome(frame))

    def _outcome(self, frame: Frame) -> Receipt | NissaError:
        if self._unavailable:
            self._unavailable -= 1
            return Unavailable("full disk")
        messages = [bytes(message) for _, message in split(memoryview(frame.body))]
        if len(messages) > 2 or b"huge" in messages:
            return TooLarge("messages", got=len(messages), limit=2, setting="x")
        self.frames.append((decode_context(frame.context).ids, messages))
        bad = [message.startswith(b"bad") for message in messages]
        outcome = np.where(bad, MessageOutcome.SET_ASIDE, MessageOutcome.TAKEN).astype(np.uint8)
        reason = np.where(bad, Refusal.RECORD_MALFORMED, NO_REASON).astype(np.uint8)
        return Receipt(messages=MessageOutcomes(outcome, reason))


def delivered(engine: Engine, messages: list[bytes]) -> list[str]:
    async def scenario() -> list[str]:
        inlet = Inlet(engine, Source.OONA, lambda: 7)
        return await deliver(inlet, Codec.LEYLINE_BUS, messages, [str(n) for n in range(len(messages))], "s")

    return asyncio.run(scenario())


def test_each_message_has_its_reason() -> None:
    """Reasons are in order of messages, over as many frames as the limits of the engine require."""
    engine = Engine()
    assert delivered(engine, [b"a", b"bad", b"b", b"huge", b"c"]) == ["", "record_malformed", "", "too_large", ""]
    assert engine.frames == [(("0", "1"), [b"a", b"bad"]), (("2",), [b"b"]), (("4",), [b"c"])]
    assert delivered(engine, []) == []


def test_frames_wait_while_the_engine_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is unavailable is asked again until it takes the frame."""
    monkeypatch.setattr(delivery, "RETRY_S_MAX", 0.001)
    engine = Engine(unavailable=3)
    assert delivered(engine, [b"a"]) == [""]
    assert len(engine.frames) == 1
