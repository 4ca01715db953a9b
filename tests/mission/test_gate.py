"""Places, waiting and refusal."""

import asyncio
import threading

import pytest

from nissa.mission import gate as gate_module
from nissa.mission.gate import Gate
from nissa.model.errors import Unavailable


def test_work_runs_on_threads_of_the_gate():
    """The loop is free meanwhile."""

    async def scene() -> str:
        gate = Gate(1, "test")
        async with gate.place():
            name = await gate.run(lambda: threading.current_thread().name)
        gate.close()
        return name

    assert asyncio.run(scene()).startswith("nissa-test")


def test_a_full_gate_refuses_after_a_moment(monkeypatch):
    """Who finds no place is told to come again; a place given back is given on."""
    monkeypatch.setattr(gate_module, "WAIT_S", 0.01)

    async def scene() -> None:
        gate = Gate(1, "test")
        async with gate.place():
            assert gate.running == 1
            with pytest.raises(Unavailable, match="concurrent_queries_max"):
                async with gate.place():
                    pass
        async with gate.place():
            pass
        assert (gate.running, gate.refused) == (0, 1)
        gate.close()

    asyncio.run(scene())


def test_those_who_wait_are_bounded():
    """Beyond a number of waiting the refusal is at once."""

    async def scene() -> None:
        gate = Gate(1, "test")

        async def visit() -> bool:
            try:
                async with gate.place():
                    await asyncio.sleep(0)
            except Unavailable:
                return False
            return True

        answers = await asyncio.gather(*(visit() for _ in range(60)))
        assert 16 <= sum(answers) < 60
        assert gate.refused == 60 - sum(answers)
        gate.close()

    asyncio.run(scene())
