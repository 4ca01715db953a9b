"""Places, waiting and refusal."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from nissa.api import gate as gate_module
from nissa.api.gate import Gate
from nissa.model.errors import Unavailable


def test_work_runs_on_threads_of_the_gate():
    """The loop is free meanwhile."""

    async def scene() -> str:
        gate = Gate(1, "test", 1_000, 9)
        async with gate.place():
            name = await gate.run(lambda: threading.current_thread().name)
        gate.close()
        return name

    assert asyncio.run(scene()).startswith("nissa-test")


def test_threads_give_way_to_others():
    """The gate's threads run at a lower priority; the thread that made them does not."""

    async def scene() -> int:
        gate = Gate(1, "test", 1_000, 9)
        async with gate.place():
            nice = await gate.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        gate.close()
        return nice

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert asyncio.run(scene()) == max(gate_module.NICE, before)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_full_gate_refuses_after_a_moment():
    """A query without a place is refused, naming the setting; a place given back can be taken again."""

    async def scene() -> None:
        gate = Gate(1, "test", 10, 9)
        async with gate.place():
            assert gate.running == 1
            with pytest.raises(Unavailable, match=r"concurrent_queries_max, api\.query_wait"):
                async with gate.place():
                    pass
        async with gate.place():
            pass
        assert (gate.running, gate.refused) == (0, 1)
        gate.close()

    asyncio.run(scene())


def test_those_who_wait_are_bounded():
    """Beyond a number of waiting queries, the next one is refused at once."""

    async def scene() -> None:
        gate = Gate(1, "test", 60_000, 16)

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


def test_nobody_waits_for_a_query_at_the_end():
    """The interpreter ends while a query is at work, and an error of one belongs to whoever asked."""
    program = """
import asyncio, threading
from nissa.api.gate import Gate

async def scene():
    gate = Gate(2, "test", 1_000, 9)
    try:
        await gate.run(lambda: 1 // 0)
    except ZeroDivisionError:
        print("raised")
    stuck = asyncio.ensure_future(gate.run(threading.Event().wait))
    await asyncio.sleep(0.05)
    stuck.cancel()
    gate.close()

asyncio.run(scene())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == (b"raised\n", b"")
