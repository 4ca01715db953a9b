"""The daemon: opens the engine, puts the edges in front of it, and takes them down in the reverse order.

    start    engine (recovers) → hot endpoint → API socket bound → "ready" → API library loads, API serves
    SIGTERM  hot endpoint drains → API stops → engine commits, settles, closes → exit 0

The control API's libraries take longer to load than everything else together, so they load after the ready line: until
then a connection to the API waits in the socket's backlog.
"""

import asyncio
import gc
import signal
import socket
import sys
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path

import msgspec
import structlog
import uvloop

from nissa import __version__
from nissa.config.listen import parse_listen
from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.model.intake import Intake
from nissa.selfmetrics.cells import HttpCells
from nissa.selfmetrics.registry import Registry
from nissa.service.capturing import CapturingIntake
from nissa.service.clock import steady, wall_ms
from nissa.service.descriptors import room_for_connections
from nissa.service.memory import keep_memory
from nissa.service.telemetry import ingest_telemetry
from nissa.sources.http import HttpServer, serve_http

SWITCH_INTERVAL_S = 0.0005  # how long a thread may keep the GIL while another wants it
API_BACKLOG = 256
API_RETRY_S = 2.0
GC_THRESHOLD = 50_000  # frames make no cycles; a collection every 700 objects is work for nothing

log = structlog.get_logger()


def run_daemon(config: Config, capture: Path | None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises: what opening the directory raises."""
    keep_memory()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GC_THRESHOLD)
    uvloop.run(_serve(config, capture))
    return 0


async def _serve(config: Config, capture: Path | None) -> None:
    stop = _stop_signal()  # first of all: recovery takes a while, and is not to be killed by a polite signal
    engine = Engine(Path(config.storage.data_dir), config, wall_ms, steady)
    try:
        if capture is None:
            await _serve_engine(config, engine, engine, stop)
        else:
            with closing(CapturingIntake(engine, capture, wall_ms)) as intake:
                await _serve_engine(config, engine, intake, stop)
    finally:
        await asyncio.to_thread(engine.close)


async def _serve_engine(config: Config, engine: Engine, intake: Intake, stop: asyncio.Event) -> None:
    cells = HttpCells()
    registry = Registry(engine.status, cells, engine.tallies)
    connections_max = min(config.ingest.connections_max, room_for_connections())
    ingest = msgspec.structs.replace(config.ingest, connections_max=connections_max)
    server = await serve_http(ingest, intake, wall_ms, cells, registry.expose)
    api_socket = _listen(config.api.listen)
    gc.freeze()
    _say_ready(server, api_socket, config)
    api = asyncio.create_task(_serve_api(engine, config, api_socket, stop))
    telemetry = asyncio.create_task(ingest_telemetry(engine, registry, config.telemetry.interval_ms, wall_ms))
    await stop.wait()
    log.info("draining")
    await server.drain()
    telemetry.cancel()
    await asyncio.gather(api, telemetry, return_exceptions=True)


def _stop_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets; a second one changes nothing."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _listen(address: str) -> socket.socket:
    listen = parse_listen(address, "api.listen")
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    listener = socket.create_server((listen.host, listen.port), family=family, backlog=API_BACKLOG)
    listener.setblocking(False)
    return listener


def _say_ready(server: HttpServer, api_socket: socket.socket, config: Config) -> None:
    api = api_socket.getsockname()
    line = f"ready ingest={_url(server.address)} api={_url(api)} data={config.storage.data_dir}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _url(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _serve_api(engine: Engine, config: Config, listener: socket.socket, stop: asyncio.Event) -> None:
    """Load the API off the loop, then serve it until ``stop``; again where it fails, as without free descriptors."""
    with closing(listener):
        while not stop.is_set():
            try:
                with closing(listener.dup()) as own:  # whoever serves a socket closes it
                    await _load_and_serve_api(engine, config, own, stop)
            except Exception:  # receiving goes on without the API
                log.exception("the control API ended; trying again", retry_s=API_RETRY_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), API_RETRY_S)


async def _load_and_serve_api(engine: Engine, config: Config, listener: socket.socket, stop: asyncio.Event) -> None:
    module = await asyncio.to_thread(import_module, "nissa.mission.serve")
    loading = asyncio.create_task(asyncio.to_thread(_load_sealing))
    await module.serve_api(engine, config.api, listener, stop, {"version": __version__})
    await loading


def _load_sealing() -> None:
    """What the sealer needs, loaded before the first seal does: later it would hold the GIL against senders."""
    import_module("pyarrow.parquet")
    import_module("pyarrow.compute")
    gc.freeze()
