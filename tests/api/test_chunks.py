"""Chunks of an answer, and the end of the work behind them."""

import asyncio

import pytest

from nissa.api.chunks import Chunks, canceled_by
from nissa.model.errors import QueryCanceled
from nissa.query.limits import Allowance, MemoryBudget


def allowance(ration: MemoryBudget) -> Allowance:
    return Allowance(lambda: 0.0, 1_000, 1_000, ration)


def test_a_small_answer_is_whole_and_closed():
    """Its memory is given back when its last byte is there."""
    ration = MemoryBudget(1_000)
    query = allowance(ration)

    def made():
        query.check(100)
        yield b"a"
        yield b""
        yield b"b"

    chunks = Chunks(made(), query)
    assert chunks.begin(10, "gzip") == (b"ab", "", True)
    assert (chunks.closed, ration.taken_bytes) == (True, 0)


def test_a_large_answer_begins_and_goes_on():
    """The beginning has the bytes asked for at least; closing ends the work where it stands."""
    ended = []

    def made():
        try:
            for _ in range(100):
                yield b"12345"
        finally:
            ended.append(True)

    chunks = Chunks(made(), allowance(MemoryBudget(1_000)))
    assert chunks.begin(8, "") == (b"1234512345", "", False)
    assert (chunks.take(), ended) == (b"12345", [])
    chunks.close()
    assert (ended, chunks.take()) == ([True], None)


def test_an_error_gives_back_what_was_held():
    """Memory is given back also if the work fails before anything is sent."""
    ration = MemoryBudget(1_000)
    query = allowance(ration)

    def made():
        query.check(100)
        yield b"a"
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Chunks(made(), query).begin(10, "")
    assert ration.taken_bytes == 0


def test_a_client_that_goes_away_ends_its_query():
    """At the next check of the query, and only inside ``canceled_by``."""

    async def scenario() -> None:
        messages = asyncio.Queue()
        query, other = allowance(MemoryBudget(1_000)), allowance(MemoryBudget(1_000))
        async with canceled_by(messages.get, query):
            messages.put_nowait({"type": "http.request"})
            await asyncio.sleep(0.01)
            query.check()
            messages.put_nowait({"type": "http.disconnect"})
            await asyncio.sleep(0.01)
            with pytest.raises(QueryCanceled):
                query.check()
        async with canceled_by(messages.get, other):
            pass
        messages.put_nowait({"type": "http.disconnect"})
        await asyncio.sleep(0.01)
        other.check()

    asyncio.run(scenario())
