"""Routing of alerts in the daemon: opened beside everything else, read again by a reload, off where not configured.

The database may be away at the start. Alerts are then refused, to be sent again, until it is there; nothing else waits.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from nissa.config.alerting import Alerting
from nissa.config.tree import Config
from nissa.model.alert import Alert
from nissa.model.errors import ConfigInvalid, Unavailable
from nissa.safeguards.breaker import BreakerSet

if TYPE_CHECKING:
    from nissa.alerting.routing import Routing
    from nissa.database.database import Database
    from nissa.notifiers.dispatcher import Dispatcher, Made

OPEN_RETRY_S: Final = 5
NAMES: Final = (
    "alerts",
    "received",
    "notifications",
    "waiting",
    "delivered",
    "failed_attempts",
    "digests",
    "dead_letters",
    "text_failures",
)
IDLE: Final = {**dict.fromkeys((*NAMES, "dead_letters_dropped"), 0), "channels": {}}

log = structlog.get_logger()


class ConfiguredAlerting:
    """Routing of the process, or none. Lives on the loop; ``put`` and ``status`` may be called from any thread."""

    path = "alerting"

    def __init__(self, config: Config, directory: Path, breakers: BreakerSet, now_ms: Callable[[], int]) -> None:
        """directory: the data directory. now_ms: wall clock. Raises: ConfigInvalid."""
        self._config, self._directory = config, directory
        self._breakers, self._now_ms = breakers, now_ms
        self._dispatcher: Dispatcher | None = None
        self._database: Database | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted: tuple[Alerting, Routing, dict[str, Made]] | None = None
        if is_configured(config.alerting):
            self._wanted = _read(config.alerting)

    @property
    def opened_control(self) -> "Callable[[], Dispatcher] | None":
        """``control``; None where no routing is configured."""
        return None if self._wanted is None else self.control

    def control(self) -> "Dispatcher":
        """The routing that runs. Raises: Unavailable where it is not open yet."""
        if self._dispatcher is None:
            raise Unavailable("the database of alerts is not open yet", OPEN_RETRY_S)
        return self._dispatcher

    def put(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """Take alerts of rules; see ``AlertReceiver``. Raises: Unavailable."""
        if self._wanted is not None:
            self.control().put(alerts, now_ms)

    def start(self) -> None:
        """Open the database, and start routing."""
        if self._wanted is not None:
            self._task = asyncio.create_task(self._open(), name="alerting.open")

    async def stop(self, timeout_s: float) -> None:
        """End routing; what is not delivered stays in the outbox."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._dispatcher is not None:
            await self._dispatcher.stop(timeout_s)
        if self._database is not None:
            await asyncio.to_thread(self._database.close)

    def prepare(self, config: Config) -> Callable[[], None]:
        """Read the configuration of routing again. Raises: ConfigInvalid."""
        if is_configured(config.alerting) != (self._wanted is not None):
            raise ConfigInvalid("alerting", "is turned on or off by a restart only")
        if self._wanted is None:
            return lambda: None
        wanted = _read(config.alerting)

        def apply() -> None:
            self._wanted = wanted
            if self._dispatcher is not None:
                self._dispatcher.apply(*wanted)

        return apply

    def status(self) -> dict[str, Any]:
        """For ``/api/status`` and metrics."""
        return IDLE if self._dispatcher is None else self._dispatcher.facts()

    async def _open(self) -> None:
        from nissa.alerting.routing_store import RoutingStore  # SQLAlchemy costs time, and is for those who route
        from nissa.database.database import open_database
        from nissa.notifiers.dead_letter_mirror import DeadLetterMirror
        from nissa.notifiers.dispatcher import Dispatcher

        mirror = DeadLetterMirror(self._config.dead_letters_redis)
        while self._wanted is not None and self._dispatcher is None:
            try:
                if self._database is None:
                    self._database = await asyncio.to_thread(open_database, self._config.database, self._directory)
                store = RoutingStore(self._database)
                stored = await asyncio.to_thread(store.read)
            except Unavailable as error:
                log.error("alerts are not routed yet", error=str(error), retry_s=OPEN_RETRY_S)
                await asyncio.sleep(OPEN_RETRY_S)
                continue
            except Exception:  # the edge: the rest of the daemon goes on, and the log says why nothing is routed
                log.exception("alerts are not routed", retry_s=OPEN_RETRY_S)
                await asyncio.sleep(OPEN_RETRY_S)
                continue
            breaker, url = self._breakers.named, self._external_url()
            self._dispatcher = Dispatcher(*self._wanted, store, stored, breaker, self._now_ms, url, mirror)
            self._dispatcher.start()

    def _external_url(self) -> str:
        return self._config.alerting.external_url or f"http://{self._config.api.listen}"


def is_configured(settings: Alerting) -> bool:
    """True if settings ask for routing."""
    return bool(settings.config_file or settings.receivers)


def read_alerting(settings: Alerting) -> "tuple[Routing, dict[str, Made]]":
    """The routing that settings ask for, with the notifiers of its channels. Raises: ConfigInvalid."""
    from nissa.alerting.routing import read_routing
    from nissa.notifiers.dispatcher import notifiers_of

    routing = read_routing(settings)
    if routing is None:
        raise ConfigInvalid("alerting", "has no receivers")
    return routing, notifiers_of(routing)


def _read(settings: Alerting) -> "tuple[Alerting, Routing, dict[str, Made]]":
    routing, notifiers = read_alerting(settings)
    for warning in routing.warnings:
        log.warning(warning)
    return settings, routing, notifiers
