"""Cost of the hot endpoint alone: requests of one body size, discarded behind it, in CPU µs per request.

    python bench/http_edge.py [--requests 20000] [--body-bytes 60000] [--connections 2] [--settle thread|loop]

A child process serves; this one sends. The goal is 40 µs per request of 2,000 samples: 0.02 cpu-s per million samples.
``--settle thread`` settles every frame from another thread, as the commit thread does; ``loop`` leaves that out.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import uvloop

from nissa.config.tree import Ingest
from nissa.model.frame import Frame
from nissa.model.intake import Settle
from nissa.model.receipt import Receipt
from nissa.selfmetrics.cells import HttpCells
from nissa.sources.http.server import serve_http

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLES_PER_REQUEST = 2_000
GOAL_US = 40.0


class DiscardingIntake:
    """Settles every frame with the same receipt, on the loop or from a thread that wakes once per batch."""

    pressure = False
    durability = "fsync"
    ready = True

    def __init__(self, threaded: bool) -> None:
        self._threaded = threaded
        self._settles: deque[Settle] = deque()
        self._event = threading.Event()
        if threaded:
            threading.Thread(target=self._run, daemon=True).start()

    def submit(self, frame: Frame, complete: Settle) -> None:
        if not self._threaded:
            complete(Receipt(samples=SAMPLES_PER_REQUEST))
            return
        self._settles.append(complete)
        self._event.set()

    def _run(self) -> None:
        while True:
            self._event.wait()
            self._event.clear()
            while self._settles:
                self._settles.popleft()(Receipt(samples=SAMPLES_PER_REQUEST))


async def serve(threaded: bool) -> None:
    """Serve until the parent closes standard input; print the port."""
    cells = HttpCells()
    intake = DiscardingIntake(threaded)
    server = await serve_http(Ingest(listen="127.0.0.1:0"), intake, lambda: 0, cells, lambda *_: ({}, b""))
    print(server.address[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


def cpu_s(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def send(port: int, requests: int, body: bytes) -> None:
    """Send ``requests`` requests one after another and check every answer."""
    head = (
        "POST /api/v1/write HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\n"
        "Content-Encoding: snappy\r\nUser-Agent: bench\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    message = head.encode() + body
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(requests):
            link.sendall(message)
            answer = link.recv(4_096)
            assert answer.startswith(b"HTTP/1.1 204"), answer
            assert answer.endswith(b"\r\n\r\n"), answer


def main() -> None:
    """Run the measurement and print it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=20_000)
    arguments.add_argument("--body-bytes", type=int, default=60_000)
    arguments.add_argument("--connections", type=int, default=2)
    arguments.add_argument("--settle", choices=["thread", "loop"], default="thread")
    arguments.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.serve:
        uvloop.run(serve(chosen.settle == "thread"))
        return
    command = [sys.executable, __file__, "--serve", "--settle", chosen.settle]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        body = os.urandom(chosen.body_bytes)
        send(port, 200, body)
        each = chosen.requests // chosen.connections
        senders = [threading.Thread(target=send, args=(port, each, body)) for _ in range(chosen.connections)]
        cpu_before, begun = cpu_s(child.pid), time.perf_counter()
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        wall_s = time.perf_counter() - begun
        count = each * chosen.connections
        cpu_us = (cpu_s(child.pid) - cpu_before) / count * 1e6
        print(
            f"{count} requests of {chosen.body_bytes} B on {chosen.connections} connections, by {chosen.settle}: "
            f"{count / wall_s:,.0f} requests/s, {cpu_us:.1f} cpu-us per request "
            f"(goal {GOAL_US:.0f}), {cpu_us / SAMPLES_PER_REQUEST:.4f} cpu-s per M samples"
        )
        child.communicate()


if __name__ == "__main__":
    main()
