"""The API served by a real uvicorn on a real socket, in a thread of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from nissa.config.tree import Api
from nissa.mission.serve import serve_api
from nissa.query.backend import Backend

Serve = Callable[..., httpx.Client]


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
        facts = {"version": "9.9.9"}
        self._loop.run_until_complete(serve_api(backend, limits, self._listening, self._stopping, facts))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a backend; gives a client whose ``base_url`` is the API's."""
    running: list[Served] = []
    clients: list[httpx.Client] = []

    def start(backend: Backend, limits: Api | None = None) -> httpx.Client:
        served = Served(backend, limits or Api())
        running.append(served)
        host, port = served.address
        clients.append(httpx.Client(base_url=f"http://{host}:{port}", timeout=30))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for served in running:
        served.stop()
