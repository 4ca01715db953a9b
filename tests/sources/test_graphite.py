"""The Graphite source: lines of sockets come as frames, refused ones are logged, and the end loses nothing read."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from nissa.config.lines import Graphite
from nissa.model.errors import ConfigInvalid
from nissa.model.frame import Codec, Source
from nissa.model.receipt import Receipt
from nissa.model.text_faults import LineFault
from nissa.sources.graphite import GraphiteSource
from nissa.sources.inlet import Inlet
from oracle.intake import Intake


def test_lines_become_frames() -> None:
    """Lines of two connections are in the frames in the end, and a refused line is in the log."""
    intake = Intake(
        Receipt(refused={"record_malformed": 1}, lines=(LineFault(1, 0, "record_malformed", "why", text="x"),))
    )

    async def scenario() -> dict[str, Any]:
        source = GraphiteSource(
            Graphite(listen="127.0.0.1:0", linger_ms=10_000), Inlet(intake, Source.GRAPHITE, lambda: 7)
        )
        up = asyncio.Event()
        task = asyncio.create_task(source.run(up.set))
        await asyncio.wait_for(up.wait(), 60)
        host, _, port = str(source.facts()["address"]).rpartition(":")
        for line in (b"a 1\nx\n", b"b 2"):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(line)
            writer.close()
            await writer.wait_closed()
        for _ in range(6_000):
            if source.facts()["buffered_bytes"] == 10:
                break
            await asyncio.sleep(0.01)
        facts = dict(source.facts())
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return facts

    with capture_logs() as entries:
        facts = asyncio.run(scenario())
    assert facts["frames_refused"] == facts["long_lines"] == 0
    assert sorted(b"".join(frame.body for frame in intake.frames).splitlines()) == [b"a 1", b"b 2", b"x"]
    assert {frame.codec for frame in intake.frames} == {Codec.GRAPHITE}
    assert [(entry["reason"], entry["line"]) for entry in entries] == [("record_malformed: why", "x")]


def test_an_address_that_cannot_be_read_is_refused() -> None:
    """The error names the setting."""

    async def scenario() -> None:
        GraphiteSource(Graphite(listen="2003"), Inlet(Intake(), Source.GRAPHITE, lambda: 7))

    with pytest.raises(ConfigInvalid, match=r"sources\.graphite\.listen"):
        asyncio.run(scenario())
