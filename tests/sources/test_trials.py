"""Trials of messages: only those during which the process ended count, and a sound message is never refused."""

import asyncio
from pathlib import Path

import pytest

from nissa.catalogue.state import State
from nissa.sources.trials import RECORDS_MAX, ROOM, TRIALS_MAX, Trials


def killed_during(store: State, message: str) -> bool:
    """True if the message may be stored by a process that ends while it stores it: the store stays as it was then."""

    async def run() -> tuple[bool, dict[str, bytes]]:
        async with Trials(store, "bus").trial("stream", message) as found:
            return found, store.read(ROOM)

    found, records = asyncio.run(run())
    store.commit(ROOM, {**dict.fromkeys(store.read(ROOM)), **records})
    return found


def stored(store: State, message: str) -> bool:
    """True if the message may be stored by a process that goes on."""

    async def run() -> bool:
        async with Trials(store, "bus").trial("stream", message) as found:
            return found

    return asyncio.run(run())


@pytest.fixture
def store(tmp_path: Path) -> State:
    """An empty state store."""
    return State.open(tmp_path)


def test_a_message_that_ends_the_process_is_refused_after_its_trials(store: State) -> None:
    """Such a message has TRIALS_MAX trials, then it is refused, and its record is deleted."""
    assert [killed_during(store, "7") for _ in range(TRIALS_MAX)] == [True] * TRIALS_MAX
    assert stored(store, "8")
    assert not stored(store, "7")
    assert store.read(ROOM) == {}


def test_a_stored_message_leaves_no_record(store: State) -> None:
    """Kills before its last trial count for nothing then."""
    assert [killed_during(store, "7") for _ in range(TRIALS_MAX - 1)] == [True] * (TRIALS_MAX - 1)
    assert stored(store, "7")
    assert store.read(ROOM) == {}


def test_a_trial_that_raises_does_not_count(store: State) -> None:
    """The process has not ended: the record says what it said before."""
    assert killed_during(store, "7")

    async def run() -> None:
        trials = Trials(store, "bus")
        for _ in range(2 * TRIALS_MAX):
            with pytest.raises(OSError, match="the bus"):
                async with trials.trial("stream", "7"):
                    raise OSError("the bus")

    asyncio.run(run())
    assert store.read(ROOM) == {"bus/stream/7": b"1"}


def test_records_are_bounded(store: State) -> None:
    """Records of messages that never come again go when there are too many."""
    store.commit(ROOM, {f"bus/stream/{number}": b"1" for number in range(RECORDS_MAX)})
    assert killed_during(store, "new")
    assert store.read(ROOM) == {"bus/stream/new": b"1"}


def test_one_trial_at_a_time(store: State) -> None:
    """Trials of one source wait for each other."""
    under_way = most = 0

    async def one(trials: Trials, message: str) -> None:
        nonlocal under_way, most
        async with trials.trial("stream", message):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    async def run() -> None:
        trials = Trials(store, "bus")
        await asyncio.gather(*(one(trials, str(number)) for number in range(5)))

    asyncio.run(run())
    assert most == 1
