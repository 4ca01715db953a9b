"""Events of Nissa itself: stored once, in order, also after the store was unable to take them."""

import asyncio
from typing import Any

import pytest

from nissa.model.errors import Malformed, Unavailable
from nissa.model.frame import Codec, Frame, Source
from nissa.model.intake import Settle
from nissa.model.receipt import Receipt
from nissa.service import own_events
from nissa.service.own_events import WAITING_MAX, OwnEvents
from nissa.sources.inlet import Inlet

NOW_MS = 1_700_000_000_000


class ScriptedIntake:
    """An intake that settles each frame at once, with errors first."""

    pressure, durability, ready = False, "fsync", True

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.frames: list[Frame] = []

    def submit(self, frame: Frame, complete: Settle) -> None:
        """Take the frame, or fail as the script says."""
        outcome = self.outcomes.pop(0) if self.outcomes else Receipt(events=1)
        if isinstance(outcome, Receipt):
            self.frames.append(frame)
        complete(outcome)


def test_an_event_waits_until_it_can_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes nothing now is asked again; an event that it refuses for ever is counted."""
    monkeypatch.setattr(own_events, "RETRY_S", 0)

    async def main() -> tuple[OwnEvents, ScriptedIntake]:
        intake = ScriptedIntake(Unavailable("full"), Receipt(events=1), Malformed("x"))
        events, inlet = OwnEvents(lambda: NOW_MS), Inlet(intake, Source.SELF, lambda: NOW_MS)
        for state in ("open", "half_open", "closed"):
            events.note("circuit_breaker.state_changed", "error", {"to": state})
        for _ in range(4):
            await events.store_first(inlet)
        return events, intake

    events, intake = asyncio.run(main())
    assert events.facts() == {"stored": 2, "waiting": 0, "dropped": 1}
    assert [(frame.codec, frame.source) for frame in intake.frames] == [(Codec.NISSA_EVENT, Source.SELF)] * 2
    assert b"open" in intake.frames[0].body
    assert b"closed" in intake.frames[1].body


def test_waiting_events_are_bounded() -> None:
    """The oldest is dropped and counted when too many wait."""
    events = OwnEvents(lambda: NOW_MS)
    for number in range(WAITING_MAX + 5):
        events.note("circuit_breaker.state_changed", "info", {"number": str(number)})
    assert events.facts() == {"stored": 0, "waiting": WAITING_MAX, "dropped": 5}
