"""Service level agreements in the daemon: files of definitions, at start and by a reload, and days as they end.

start, reload  files ──► definitions in the database, where they differ from those in force
every interval days that ended ``sla.delay`` ago and have no snapshot ──► ``SlaEngine`` on a worker thread
"""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from nissa.config.tree import Config
from nissa.files.names import DATABASE
from nissa.incidents.lifecycle import downtime_minutes, outages_ms
from nissa.ingest.engine import Engine
from nissa.model.errors import BadQuery
from nissa.model.units import SECOND_MS
from nissa.service.clock import monotonic_ms
from nissa.service.repeated_work import RepeatedWork
from nissa.service.rule_files import matching_paths

if TYPE_CHECKING:
    from nissa.database.database import Database
    from nissa.incidents.incident_store import IncidentStore
    from nissa.tiers.sla import SlaDefinition
    from nissa.tiers.sla_engine import SlaEngine, SlaRun, Trouble
    from nissa.tiers.sla_store import SlaStore

COUNTED: Final = ("runs", "snapshots", "failures")

log = structlog.get_logger()


class SlaTasks:
    """Service level agreements. Offers ``SlaControl``; its methods are safe from any thread but one run at a time."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        database: "Callable[[], Database]",
        incidents: "Callable[[], IncidentStore]",
        now_ms: Callable[[], int],
    ) -> None:
        """database, incidents: open them; block. now_ms: wall clock. Raises: ConfigInvalid for a file with a fault."""
        self._config, self._engine = config, engine
        self._database, self._incidents, self._now_ms = database, incidents, now_ms
        self._files: Sequence[SlaDefinition] = _read_files(config)
        self._files_lock = threading.Lock()  # a reload changes them while a thread puts them in force
        self._engine_of_sla: SlaEngine | None = None
        self._store: SlaStore | None = None
        self._in_doubt = False
        self._counts = dict.fromkeys(COUNTED, 0)
        name = "snapshots of service level agreements"
        self._repeated = RepeatedWork(name, self._turn, lambda: self._config.sla.interval_ms, self._counts)

    def prepare(self, config: Config) -> Callable[[], None]:
        """Read the files of ``config``; they are in force with the next turn. Raises: ConfigInvalid."""
        files = _read_files(config)

        def apply() -> None:
            with self._files_lock:
                self._files = files
            self._config = msgspec.structs.replace(self._config, sla=config.sla)
            self._store = self._engine_of_sla = None  # made again, with the settings of now

        return apply

    def start(self) -> None:
        """Begin to look for days that have ended."""
        self._repeated.start()

    async def stop(self) -> None:
        """End; a run under way ends first."""
        await self._repeated.stop()

    def _turn(self) -> None:
        wanted = self._files or self._store or self._config.database.url
        if not wanted and not (self._engine.directory / DATABASE).exists():
            return
        in_doubt = self._engine.admin.doubts_clock()
        if not in_doubt:
            self._work()
        elif not self._in_doubt:
            log.warning("snapshots wait while the wall clock is in doubt: correct it, or POST /api/v1/clock/confirm")
        self._in_doubt = in_doubt

    def _work(self) -> None:
        now_ms = self._now_ms()
        files = self._files
        refused = [one for one in files if not self._put(one, now_ms)]
        with self._files_lock:
            if self._files is files:
                self._files = refused
        self._counts["runs"] += 1
        run = self.engine().run_due(now_ms - self._config.sla.delay_ms, self._config.sla.catch_up_ms)
        self._report(run)

    def _put(self, one: "SlaDefinition", now_ms: int) -> bool:
        """Put a definition of a file in force. False where it is refused, and is tried again."""
        try:
            self.store().put(one, now_ms)
        except BadQuery as error:
            self._counts["failures"] += 1
            log.error("a definition of a file is not in force", definition=one.id, reason=str(error))
            return False
        return True

    def _report(self, run: "SlaRun") -> None:
        self._counts["snapshots"] += run.written
        self._counts["failures"] += len(run.failures)
        if run.written:
            log.info("snapshots of service level agreements are written", snapshots=run.written)
        for name, reason in run.failures.items():
            log.error("a snapshot waits", definition=name, reason=reason)

    def _troubles(self, start_ms: int, end_ms: int) -> "list[Trouble]":
        from nissa.tiers.sla_engine import Trouble

        severities = self._config.sla.downtime_severities
        return [
            Trouble(
                one.id,
                one.service,
                one.created_ms,
                one.acknowledged_ms,
                one.resolved_ms,
                tuple(outages_ms(one, entries, end_ms)) if one.severity in severities else (),
            )
            for one, entries in self._incidents().overlapping(start_ms, end_ms)
        ]

    # ---- SlaControl ----

    def store(self) -> "SlaStore":
        """The Gold tier; opens the database. Blocks. Raises: Unavailable."""
        if self._store is None:
            from nissa.tiers.sla_store import SlaStore  # loads SQLAlchemy

            self._store = SlaStore(self._database(), self._config.sla.definitions_max)
        return self._store

    @property
    def report_font(self) -> str:
        """As ``SlaControl`` says."""
        return self._config.sla.report_font

    def engine(self) -> "SlaEngine":
        """Writes and corrects snapshots. Raises: Unavailable."""
        if self._engine_of_sla is None:
            from nissa.service.sla_queries import StoredHours  # loads the evaluator of PromQL
            from nissa.tiers.sla_engine import SlaEngine

            queries = StoredHours(self._engine, self._config, lambda: monotonic_ms() / SECOND_MS)
            self._engine_of_sla = SlaEngine(self.store(), queries, self._troubles, downtime_minutes)
        return self._engine_of_sla

    def status(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and metrics."""
        return dict(self._counts)


def _read_files(config: Config) -> "Sequence[SlaDefinition]":
    if not config.sla.files:
        return ()
    from nissa.tiers.sla_file import read_sla_file

    return [one for path in matching_paths(config.sla.files, "sla.files") for one in read_sla_file(path)]
