"""The daemon: opens the engine, starts ports and sources, and stops them in the reverse order.

    start    API socket bound (reports recovery) → engine (recovers) → ingest port, sources → "ready" → API serves
    SIGHUP   settings that can change at run time are read again (``reload.py``); closing a terminal stops nothing
    SIGTERM  sources stop → ingest port drains → API stops → engine commits, answers, closes → exit 0

While the engine recovers, ``waiting_room.py`` answers on the API's socket, and a signal ends recovery. The control
API's libraries take longer to load than everything else together, so they load after the ready line: from then on until
they are there a connection to the API waits in the socket's backlog.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvloop

from nissa import __version__
from nissa.access.certificates import Certificates
from nissa.api.facts import Facts
from nissa.config.access import check_access
from nissa.config.check import setting_text, written_leaves
from nissa.config.listen import Listen, parse_listen
from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.ingest.progress import Progress
from nissa.model.errors import Unavailable
from nissa.model.frame import Source
from nissa.model.intake import Intake
from nissa.model.secrets import hide_secrets
from nissa.model.units import SECOND_MS
from nissa.selfmetrics.cells import HttpCells
from nissa.selfmetrics.registry import Registry
from nissa.service.app_intake import AppInlet
from nissa.service.capturing import CapturingIntake
from nissa.service.clock import steady, wall_ms
from nissa.service.configured_alerting import ConfiguredAlerting
from nissa.service.configured_sinks import ConfiguredSinks
from nissa.service.configured_sources import configured_sources
from nissa.service.descriptors import with_room
from nissa.service.exit_bound import ExitBound
from nissa.service.ingest_entrance import ingest_certificates, started_entrance, watch_certificates
from nissa.service.memory import tune_malloc
from nissa.service.opened_database import OpenedDatabase, say_first_token
from nissa.service.reload import Reload, Reloadable
from nissa.service.rule_watch import watch_rules
from nissa.service.safeguarding import Safeguarding
from nissa.service.series_marks import SeriesMarks
from nissa.service.source_tasks import SourceTasks
from nissa.service.systemd import READY, STOPPING, notify, passed_sockets, report_life
from nissa.service.telemetry import ingest_telemetry
from nissa.service.thread_names import keep_threads_named
from nissa.service.waiting_room import waiting_room
from nissa.service.watching import Watching
from nissa.sources.http.listener import open_listener
from nissa.sources.http.server import HttpServer, serve_http
from nissa.sources.inlet import Inlet
from nissa.sources.push_groups import PushGroups

SWITCH_INTERVAL_S = 0.0005  # how long a thread may keep the GIL while another wants it
QUERY_THREADS = ("nissa-query-", "nissa-export-")
QUERY_END_S = 1.0  # for all of them: each looks at its end between slices of work
API_BACKLOG = 256
API_RETRY_S = 2.0
GC_THRESHOLD = 50_000  # frames make no cycles; a collection every 700 objects is work for nothing

log = structlog.get_logger()


def run_daemon(config: Config, capture: Path | None, read: Callable[[], Config]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    read: the settings as they are written now, for a reload. Raises: what opening the directory raises.
    """
    if config.api.tls.certificate_file:
        Certificates(config.api.tls, "api.tls")  # a wrong file is reported before anything starts
    ingest_certificates(config.ingest)
    tune_malloc()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GC_THRESHOLD)
    bound = ExitBound(config)
    try:
        uvloop.run(_serve(config, capture, bound, read))
    finally:
        bound.lift()
    _leave_queries()
    return 0


def _leave_queries() -> None:
    """End the process here where a query does not end by itself: all is closed, and an interpreter that ends around a
    thread in C++ aborts."""
    queries = [thread for thread in threading.enumerate() if thread.name.startswith(QUERY_THREADS)]
    for thread in queries:
        thread.join(QUERY_END_S / len(queries))
    if any(thread.is_alive() for thread in queries):
        log.warning("exiting while a query is still running")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


async def _serve(config: Config, capture: Path | None, bound: ExitBound, read: Callable[[], Config]) -> None:
    stop = _stop_signal(bound)  # first of all: recovery takes a while, and is not to be killed by a polite signal
    passed = passed_sockets()
    with closing(_api_listener(config, passed.get("api"))) as api_socket:
        engine = await _open_engine(config, api_socket, stop)
        if engine is None:
            return
        try:
            if capture is None:
                await _serve_engine(config, engine, engine, api_socket, stop, read, passed.get("ingest"))
            else:
                with closing(CapturingIntake(engine, capture, wall_ms)) as intake:
                    await _serve_engine(config, engine, intake, api_socket, stop, read, passed.get("ingest"))
        finally:
            await asyncio.to_thread(engine.close)


def _api_listener(config: Config, passed: socket.socket | None) -> socket.socket:
    """The socket of the API: the one that systemd passes, or one on ``api.listen``. Raises: ConfigInvalid, OSError."""
    if passed is None:
        return open_listener(parse_listen(config.api.listen, "api.listen"), API_BACKLOG)
    check_access(config.api.access, Listen(*passed.getsockname()[:2]))  # it may listen elsewhere than the setting says
    return passed


async def _open_engine(config: Config, api_socket: socket.socket, stop: asyncio.Event) -> Engine | None:
    """Open the directory off the loop, which answers meanwhile; None where ``stop`` was set before it was open."""
    progress = Progress()
    directory = Path(config.storage.data_dir)
    async with waiting_room(api_socket, progress):
        opening = asyncio.create_task(asyncio.to_thread(Engine, directory, config, wall_ms, steady, progress))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        progress.give_up()  # too late to matter where it is open
        try:
            engine = await opening
        except Unavailable:
            if not stop.is_set():
                raise
            log.info("recovery cancelled; the next start repeats it")
            return None
    return engine


async def _serve_engine(
    config: Config,
    engine: Engine,
    intake: Intake,
    api_socket: socket.socket,
    stop: asyncio.Event,
    read: Callable[[], Config],
    passed: socket.socket | None = None,
) -> None:
    marks = SeriesMarks(engine.state, lambda: engine.index.series_count, wall_ms)  # before any source can add series
    cells = HttpCells()
    guards = Safeguarding(config.safeguards, engine, wall_ms)
    place = (config.storage.data_dir, intake, wall_ms, engine.state)
    database = OpenedDatabase(config.database, engine.directory)
    entrance = await started_entrance(config.ingest, database.open, guards.door, wall_ms)
    configured = configured_sources(config.sources, *place, config.ingest.body_bytes_max, guards.pace, entrance)
    pushes = PushGroups(config.sources.push, Inlet(intake, Source.PUSH, wall_ms), engine.state)
    sources = SourceTasks([*configured, pushes], wall_ms, guards.source_breakers)
    sinks = ConfiguredSinks(config, engine, guards.breakers, wall_ms)
    alerting = ConfiguredAlerting(config, engine.directory, guards.breakers, wall_ms)
    watching = Watching(config, engine, intake, alerting, database.open, wall_ms)
    guards.burning = watching.burning
    reloadable = [source for source in configured if isinstance(source, Reloadable)]
    reload = Reload(read, config, [*reloadable, *watching.parts, alerting], wall_ms, database.note_signal)

    def status() -> dict[str, Any]:
        own = {"sources": sources.status(), "sinks": sinks.status(), "reload": reload.facts()}
        own["dead_letters_redis"] = sinks.list_facts()
        return {**own, **watching.status(), "alerting": alerting.status(), **guards.status()}

    registry = Registry(lambda: {**engine.status().facts(), **status()}, cells, engine.tallies)
    page = (intake, wall_ms, cells, registry.expose, sources.missing, pushes)
    server = await serve_http(with_room(config), *page, config.sources.otlp.listen, entrance, passed)
    for part in (sources, sinks, watching, alerting):
        part.start()
    gc.freeze()
    _say_ready(server, api_socket, config)
    notify(READY)
    facts = _facts(config, sources, status, guards, sinks)
    known = {"reload": reload.reload, "database": database.open, "alerting": alerting.opened_control}
    own = {"apps": AppInlet(config, intake, engine.secret, wall_ms), "series_marks": marks, "expose": registry.expose}
    facts = msgspec.structs.replace(facts, **known, **own, **watching.api_facts)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.start)
    api = asyncio.create_task(_serve_api(engine, config, api_socket, stop, facts))
    telemetry = ingest_telemetry(engine, registry, config.telemetry.interval_ms, wall_ms, guards.telemetry_factor)
    works = (guards.run(intake), telemetry, marks.run(), _life(engine), watch_certificates(entrance))
    beside = [asyncio.create_task(work) for work in (*works, watch_rules(reload))]
    await stop.wait()
    notify(STOPPING)
    log.info("shutting down: finishing open requests")
    await watching.stop()
    drain_s = config.ingest.drain_timeout_ms / SECOND_MS
    await alerting.stop(drain_s)
    await sources.stop(drain_s)
    await server.drain()
    await sinks.stop(drain_s)
    for task in beside:
        task.cancel()
    await asyncio.gather(api, *beside, return_exceptions=True)
    await asyncio.to_thread(database.close)


async def _life(engine: Engine) -> None:
    """Report to systemd that all threads go on, and to the kernel what they are called."""
    life = report_life(lambda: (engine.status().watchdog or {}).get("stalled", ()))
    await asyncio.gather(life, keep_threads_named())


def _stop_signal(bound: ExitBound) -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets; a second one changes nothing. SIGHUP is only logged before all is open."""
    stop = asyncio.Event()

    def set_stop() -> None:
        bound.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, set_stop)
    loop.add_signal_handler(signal.SIGHUP, log.warning, "SIGHUP is ignored until the directory is open")
    return stop


def _say_ready(server: HttpServer, api_socket: socket.socket, config: Config) -> None:
    api = api_socket.getsockname()
    api_url = _url(api).replace("http", "https", 1) if config.api.tls.certificate_file else _url(api)
    ingest_url = _url(server.address)
    if config.ingest.tls.certificate_file:
        ingest_url = ingest_url.replace("http", "https", 1)
    line = f"ready ingest={ingest_url} api={api_url} data={config.storage.data_dir}"
    with suppress(OSError, ValueError):  # standard output is full or closed: serving matters more
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _url(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _serve_api(
    engine: Engine, config: Config, listener: socket.socket, stop: asyncio.Event, facts: Facts
) -> None:
    """Load the API off the loop, then serve it until ``stop``; again where it fails, as without free descriptors."""
    while not stop.is_set():
        try:
            with closing(listener.dup()) as own:  # whoever serves a socket closes it
                await _load_and_serve_api(engine, config, own, stop, facts)
        except Exception:  # receiving goes on without the API
            log.exception("control API failed; restarting it", retry_s=API_RETRY_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), API_RETRY_S)


async def _load_and_serve_api(
    engine: Engine, config: Config, listener: socket.socket, stop: asyncio.Event, facts: Facts
) -> None:
    module = await asyncio.to_thread(import_module, "nissa.api.serve")
    if config.api.access.enabled and facts.database is not None:
        opened = await asyncio.to_thread(facts.database)
        await asyncio.to_thread(say_first_token, opened, wall_ms())
    loading = asyncio.create_task(asyncio.to_thread(_load_sealing))
    await module.serve_api(engine, config.api, listener, stop, facts)
    await loading


def _facts(
    config: Config,
    sources: SourceTasks,
    status: Callable[[], dict[str, Any]],
    guards: Safeguarding,
    sinks: ConfiguredSinks,
) -> Facts:
    return Facts(
        wall_ms,
        __version__,
        wall_ms(),
        {path: setting_text(hide_secrets(value)) for path, value in written_leaves(config).items()},
        status,
        sources.missing,
        sources.targets,
        guards.mode_facts,
        guards.force_mode,
        guards.conserved_samples_max,
        config.safeguards.conservative_mode.remote,
        sinks.all,
    )


def _load_sealing() -> None:
    """Loads what the seal thread needs before the first seal: later it would hold the GIL against senders."""
    import_module("pyarrow.parquet")
    import_module("pyarrow.compute")
    gc.freeze()
