"""Notifications to a service manager: ready, signs of life while workers make progress, stopping."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nissa.service.systemd import ALIVE, READY, notify, report_life, watchdog_interval_s


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of a manager, named in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield receiver


def test_states_are_sent(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """States are sent to a path or an abstract name; without a manager nothing is sent, and nothing raised."""
    notify(READY)
    assert manager.recv(100) == b"READY=1"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        name = f"nissa-test-{os.getpid()}"
        receiver.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify(READY)
        assert receiver.recv(100) == b"READY=1"
    notify(READY)
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify(READY)


@pytest.mark.parametrize(
    ("wanted", "process", "interval_s"),
    [("60000000", "", 30.0), ("60000000", "own", 30.0), ("60000000", "1", 0.0), ("", "", 0.0), ("soon", "", 0.0)],
)
def test_half_the_time_of_the_watchdog(
    monkeypatch: pytest.MonkeyPatch, wanted: str, process: str, interval_s: float
) -> None:
    """The time is for this process only, and must be a number."""
    monkeypatch.setenv("WATCHDOG_USEC", wanted)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if process == "own" else process)
    assert watchdog_interval_s() == interval_s


def test_a_stalled_worker_is_no_sign_of_life(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs stop while a worker is stalled."""
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    looks: list[int] = []
    enough = asyncio.Event()

    def stalled() -> tuple[str, ...]:
        looks.append(0)
        if len(looks) == 5:
            enough.set()
        return ("sealer",) if len(looks) > 2 else ()

    async def run() -> None:
        task = asyncio.create_task(report_life(stalled))
        await enough.wait()
        task.cancel()

    asyncio.run(run())
    assert [manager.recv(100) for _ in range(2)] == [ALIVE.encode()] * 2
    manager.settimeout(0.01)
    with pytest.raises(TimeoutError):
        manager.recv(100)
