"""Ports for servers whose port must be known before they start."""

import contextlib
import random
import socket
from pathlib import Path

FIRST = 10_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A TCP port that is free now, below those that the system gives to connections and to sockets without a port.

    So no other process gets it by chance before the server listens, or while it restarts. The numbers come from the
    system, as tests set the seed of ``random``, and two that run at a time would try the same ports.
    """
    first_given = int(RANGE.read_text().split()[0])
    draw = random.SystemRandom()
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", draw.randrange(FIRST, first_given)))
            return int(probe.getsockname()[1])
