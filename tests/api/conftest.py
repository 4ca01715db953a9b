"""The API served by a real uvicorn on a real socket, in a thread of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from nissa.api.facts import Facts
from nissa.api.serve import serve_api
from nissa.config.tree import Api
from nissa.query.backend import Backend

SETTINGS = {"api.listen": "127.0.0.1:0", "ladder.raw_retention": "6h", "ladder.tiers": '[{"interval":"1m"}]'}
Serve = Callable[..., httpx.Client]
TARGETS: dict[str, Any] = {}  # of the API that runs

MORE_FACTS: dict[str, Any] = {}  # of the API that is served next


class Served:
    """A running API and its address."""

    def __init__(self, backend: Backend, limits: Api) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = self._listening.getsockname()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(backend, limits))
        self._thread.start()

    def _run(self, backend: Backend, limits: Api) -> None:
        facts = Facts(
            lambda: 1_732_190_009_000, "9.9.9", 1_732_190_000_000, SETTINGS, targets=lambda: TARGETS, **MORE_FACTS
        )
        self._loop.run_until_complete(serve_api(backend, limits, self._listening, self._stopping, facts))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def targets() -> Iterator[dict[str, Any]]:
    """Lists of targets, which a test fills."""
    yield TARGETS
    TARGETS.clear()


@pytest.fixture
def more_facts() -> Iterator[dict[str, Any]]:
    """Facts of the API that is served next, which a test fills."""
    yield MORE_FACTS
    MORE_FACTS.clear()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a backend; gives a client whose ``base_url`` is the API's."""
    running: list[Served] = []
    clients: list[httpx.Client] = []

    def start(backend: Backend, limits: Api | None = None) -> httpx.Client:
        served = Served(backend, limits or Api())
        running.append(served)
        host, port = served.address
        clients.append(httpx.Client(base_url=f"http://{host}:{port}", timeout=60))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for served in running:
        served.stop()
