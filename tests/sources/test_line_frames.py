"""Lines joined to frames: by size, by time, in order, bounded, and once more where the engine is not ready."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from nissa.model.errors import TooLarge, Unavailable
from nissa.model.frame import Codec, Source
from nissa.model.receipt import Receipt
from nissa.sources.inlet import Inlet
from nissa.sources.line_frames import LineFrames
from oracle.intake import Intake


class Rig:
    """Frames under way, with what they said."""

    def __init__(self, intake: Intake, frame_bytes_max: int = 100, linger_ms: int = 1) -> None:
        self.receipts: list[Receipt] = []
        self.pauses: list[bool] = []
        self.frames = LineFrames(
            Inlet(intake, Source.GRAPHITE, lambda: 7),
            Codec.GRAPHITE,
            frame_bytes_max=frame_bytes_max,
            buffered_bytes_max=300,
            linger_ms=linger_ms,
            pause=self.pauses.append,
            settled=self.receipts.append,
        )
        self.task = asyncio.create_task(self.frames.run())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the task will do."""
        for _ in range(60_000):
            if condition():
                return
            await asyncio.sleep(0.001)
        raise AssertionError("it did not come to that")

    async def stop(self) -> None:
        """Cancel, and bring the rest to the inlet."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.frames.finish()


def test_frames_end_by_size_and_by_time() -> None:
    """A burst is cut into frames of the size; a single line goes after the time; order and bytes stay."""

    async def scenario() -> None:
        rig = Rig(intake)
        for number in range(20):
            rig.frames.add(b"%02d-2345678\n" % number)
        assert rig.pauses == []
        await rig.until(lambda: len(rig.receipts) == 2)
        rig.frames.add(b"alone\n")
        await rig.until(lambda: len(rig.receipts) == 3)
        await rig.stop()
        assert len(rig.receipts) == len(intake.frames)

    intake = Intake()
    asyncio.run(scenario())
    bodies = [frame.body for frame in intake.frames]
    assert b"".join(bodies) == b"".join(b"%02d-2345678\n" % number for number in range(20)) + b"alone\n"
    assert [len(body) for body in bodies] == [110, 110, 6]
    assert {(frame.codec, frame.source, frame.received_ms) for frame in intake.frames} == {
        (Codec.GRAPHITE, Source.GRAPHITE, 7)
    }


def test_readers_pause_while_too_much_waits() -> None:
    """Readers pause over the bound and go on below half of it; lines left at the end are sent."""

    async def scenario() -> None:
        rig = Rig(intake, linger_ms=10_000)
        for _ in range(4):
            rig.frames.add(b"x" * 99 + b"\n")
        assert rig.pauses == [True]
        assert rig.frames.full
        await rig.until(lambda: rig.pauses == [True, False])
        rig.frames.add(b"last\n")
        await rig.stop()

    intake = Intake()
    asyncio.run(scenario())
    assert intake.frames[-1].body == b"last\n"
    assert sum(len(frame.body) for frame in intake.frames) == 405


def test_a_frame_is_sent_again_until_it_is_taken() -> None:
    """An engine that is not ready gets the same frame again; one that refuses it for good loses and counts it."""

    async def scenario() -> None:
        rig = Rig(intake)
        rig.frames.add(b"a\n")
        await rig.until(lambda: len(rig.receipts) == 1)
        rig.frames.add(b"b\n")
        await rig.until(lambda: rig.frames.refused == 1)
        await rig.stop()
        assert (rig.frames.refused, len(rig.receipts)) == (1, 1)

    limit = TooLarge("series in one frame", got=2, limit=1, setting="ingest.frame_series_max")
    intake = Intake(Unavailable("busy", 0), Receipt(), limit)
    asyncio.run(scenario())
    assert [frame.body for frame in intake.frames] == [b"a\n", b"a\n", b"b\n"]
