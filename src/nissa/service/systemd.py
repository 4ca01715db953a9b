"""Reports the state of the daemon to systemd (``sd_notify``), for units of ``Type=notify``.

    ready                READY=1
    SIGTERM              STOPPING=1
    WATCHDOG_USEC / 2    WATCHDOG=1    while the loop turns and no worker is stalled (``ingest/watchdog.py``)

Without ``NOTIFY_SOCKET`` in the environment nothing is sent. Protocol: sd_notify(3), sd_watchdog_enabled(3).

Listening sockets may come from systemd too (socket units): senders that connect while the daemon restarts wait in the
socket's backlog. The unit names each one, ``FileDescriptorName=ingest`` or ``api``. Protocol: sd_listen_fds(3).
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from nissa.model.errors import ConfigInvalid

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"
FIRST_FD: Final = 3
NAMES: Final = ("ingest", "api")
_MICROSECONDS: Final = 1_000_000


def notify(state: str) -> None:
    """Send one state. A manager that is gone is no reason to fail."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path  # the abstract name space
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)


def passed_sockets() -> dict[str, socket.socket]:
    """Listening sockets that the manager passes to this process, by name; each is passed once.

    Raises: ConfigInvalid for one with another name, or that does not listen on TCP.
    """
    process, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not count.isdigit():
        return {}
    found = {}
    for fd, name in zip(range(FIRST_FD, FIRST_FD + int(count)), names, strict=False):
        if name not in NAMES:
            raise ConfigInvalid("FileDescriptorName", f"expected one of {', '.join(NAMES)}, got {name!r}")
        passed = socket.socket(fileno=fd)
        is_tcp = passed.family in (socket.AF_INET, socket.AF_INET6) and passed.type == socket.SOCK_STREAM
        if not is_tcp or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ConfigInvalid(name, "the passed socket does not listen on TCP (ListenStream=HOST:PORT)")
        passed.set_inheritable(False)
        passed.setblocking(False)
        found[name] = passed
    return found


def watchdog_interval_s() -> float:
    """Seconds between two signs of life, half of what systemd waits for; 0 where it waits for none."""
    wanted, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not wanted.isdigit() or (process and process != str(os.getpid())):
        return 0.0
    return int(wanted) / _MICROSECONDS / 2


async def report_life(stalled: Callable[[], Sequence[str]]) -> None:
    """Send signs of life until cancelled. stalled: names of workers that make no progress."""
    interval_s = watchdog_interval_s()
    while interval_s:
        if not stalled():
            notify(ALIVE)
        await asyncio.sleep(interval_s)
