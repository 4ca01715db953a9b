"""The inlet: outcomes come back to the task that sent the frame, and pressure holds it."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from nissa.model.errors import Unavailable
from nissa.model.frame import Codec, Frame, Source
from nissa.model.intake import Settle
from nissa.model.receipt import Receipt
from nissa.sources.inlet import Inlet

RECEIPT = Receipt(samples=1)


class CommitThread:
    """An intake that completes each frame on another thread, as the engine does."""

    durability = "fsync"
    ready = True

    def __init__(self, outcome: Callable[[Frame], Receipt | Unavailable]) -> None:
        self.pressure = False
        self.frames: list[Frame] = []
        self._outcome = outcome

    def submit(self, frame: Frame, complete: Settle) -> None:
        """Complete on a thread of its own."""
        self.frames.append(frame)
        threading.Thread(target=lambda: complete(self._outcome(frame))).start()


def test_each_task_gets_the_outcome_of_its_own_frame() -> None:
    """Twenty frames under way at once: those refused raise, the others return their receipt."""

    def outcome(frame: Frame) -> Receipt | Unavailable:
        return Unavailable("odd") if int(frame.body) % 2 else RECEIPT

    async def scenario() -> list[object]:
        inlet = Inlet(intake, Source.EMBEDDED, lambda: 7)
        sends = [inlet.send(Codec.INFLUX, str(number).encode()) for number in range(20)]
        return list(await asyncio.gather(*sends, return_exceptions=True))

    intake = CommitThread(outcome)
    outcomes = asyncio.run(scenario())
    assert outcomes[::2] == [RECEIPT] * 10
    assert all(isinstance(one, Unavailable) for one in outcomes[1::2])
    assert {frame.received_ms for frame in intake.frames} == {7}
    assert {frame.source for frame in intake.frames} == {Source.EMBEDDED}


def test_pressure_holds_a_frame_back() -> None:
    """Nothing is submitted while the intake has pressure, and all once it has none."""

    async def scenario() -> None:
        inlet = Inlet(intake, Source.EMBEDDED, lambda: 7)
        intake.pressure = True
        sending = asyncio.create_task(inlet.send(Codec.INFLUX, b"x", received_ms=3))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sending), 0.05)
        assert intake.frames == []
        intake.pressure = False
        assert await sending == RECEIPT

    intake = CommitThread(lambda _: RECEIPT)
    asyncio.run(scenario())
    assert [frame.received_ms for frame in intake.frames] == [3]


def test_a_canceled_task_leaves_the_others_alone() -> None:
    """An outcome for a task that was cancelled goes nowhere."""

    async def scenario() -> Receipt:
        inlet = Inlet(intake, Source.EMBEDDED, lambda: 7)
        first = asyncio.create_task(inlet.send(Codec.INFLUX, b"1"))
        await asyncio.sleep(0)
        first.cancel()
        allowed.set()
        return await inlet.send(Codec.INFLUX, b"2")

    allowed = threading.Event()

    def outcome(_frame: Frame) -> Receipt:
        allowed.wait(10)
        return RECEIPT

    intake = CommitThread(outcome)
    assert asyncio.run(scenario()) == RECEIPT
