"""Computes the error budgets of the daemon at every interval, on a worker thread.

objective ──► events of its window, and of 1h, 6h, 1d, 3d ──► budget ──► snapshot in the database
                                                                 └─────► samples: remaining, burn (source rules)
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from nissa.config.slo import SloSettings
from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.model.errors import NissaError
from nissa.model.intake import Intake
from nissa.model.matcher import NAME_LABEL
from nissa.model.units import MINUTE_MS, SECOND_MS
from nissa.rules.queries import Queries, RecordedSample
from nissa.service.clock import monotonic_ms
from nissa.service.objective_files import read_objectives
from nissa.service.rule_recorder import JournalRecorder
from nissa.service.rule_runner import engine_queries
from nissa.slo.budget import BURN_WINDOWS_MS, EXHAUSTION_WINDOW, Budget, EventCount, budget_of, window_of
from nissa.slo.objective import Objective, over

if TYPE_CHECKING:
    from nissa.slo.snapshot_store import SnapshotStore

REMAINING: Final = "nissa_error_budget_remaining_percent"
BURN: Final = "nissa_error_budget_burn_rate"
SWEEP_EVERY: Final = 60  # computations

log = structlog.get_logger()


class SloTasks:
    """All objectives. Lives on the loop; ``budgets`` and ``history`` are safe from any thread."""

    path: Final = "slo"

    def __init__(self, config: Config, engine: Engine, intake: Intake, now_ms: Callable[[], int]) -> None:
        """Raises: ConfigInvalid where a file of objectives has a fault."""
        self._config = config
        self._engine = engine
        self._intake = intake
        self._now_ms = now_ms
        self._wanted: tuple[SloSettings, tuple[Objective, ...]] = config.slo, read_objectives(config.slo)
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._store: SnapshotStore | None = None
        self._found: dict[str, tuple[Objective, Budget]] = {}
        self._errors: dict[str, str] = {}
        self._runs = self._failures = 0

    def prepare(self, config: Config) -> Callable[[], None]:
        """As ``Reloadable`` says."""
        objectives = read_objectives(config.slo)

        def apply() -> None:
            self._wanted = config.slo, objectives
            self._changed.set()

        return apply

    def start(self) -> None:
        """Begin to compute."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End; a computation under way ends first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    async def _run(self) -> None:
        while True:
            settings, objectives = self._wanted
            if objectives:
                computing = asyncio.ensure_future(asyncio.to_thread(self._compute, settings, objectives))
                try:
                    await asyncio.shield(computing)
                except asyncio.CancelledError:
                    await asyncio.wait((computing,))
                    raise
                except Exception:  # one computation that fails must not end those after it
                    log.exception("error budgets are not computed")
            try:
                wait_s = settings.interval_ms / SECOND_MS if objectives else None
                await asyncio.wait_for(self._changed.wait(), wait_s)
                self._changed.clear()
            except TimeoutError:
                continue

    def _compute(self, settings: SloSettings, objectives: Sequence[Objective]) -> None:
        now_ms, self._runs = self._now_ms(), self._runs + 1
        queries = engine_queries(self._engine, self._config, monotonic_ms)
        found: dict[str, tuple[Objective, Budget]] = {}
        errors = {}
        for objective in objectives:
            try:
                found[objective.name] = objective, compute_budget(objective, queries, now_ms)
            except NissaError as error:
                self._failures += 1
                errors[objective.name] = str(error)[:1000]
        self._found, self._errors = found, errors
        try:
            self._keep(settings, [(budget, one.target_percent) for one, budget in found.values()], now_ms)
        except NissaError as error:
            self._failures += 1
            log.warning("error budgets are not stored", reason=str(error))

    def _keep(self, settings: SloSettings, budgets: Sequence[tuple[Budget, float]], now_ms: int) -> None:
        recorder = JournalRecorder(self._intake, self._now_ms, self._config.rules.record_timeout_ms / SECOND_MS)
        samples = [sample for budget, _ in budgets for sample in _samples(budget, now_ms)]
        if samples:
            recorder.record(samples)
        if self._store is None:
            self._store = self._open_store()
        self._store.save(budgets, now_ms)
        if self._runs % SWEEP_EVERY == 0:
            self._store.sweep(now_ms - settings.snapshots_ms)

    def _open_store(self) -> "SnapshotStore":
        from nissa.database.database import open_database  # loads SQLAlchemy, which takes half a second
        from nissa.slo.snapshot_store import SnapshotStore

        return SnapshotStore(open_database(self._config.database, self._engine.directory))

    # ---- for the API ----

    def objectives(self) -> list[tuple[Objective, Budget | None, str]]:
        """Every objective with its budget, None before the first computation, and the error of the last one."""
        found, errors = self._found, self._errors
        return [
            (one, found[one.name][1] if one.name in found else None, errors.get(one.name, ""))
            for one in self._wanted[1]
        ]

    def history(self, name: str, start_ms: int, end_ms: int, limit: int) -> list[dict[str, Any]]:
        """Snapshots of an objective, the newest first. Raises: Unavailable."""
        return [] if self._store is None else self._store.history(name, start_ms, end_ms, limit)

    def burning(self) -> tuple[str, ...]:
        """Names of objectives whose burn puts Nissa into conservative mode now."""
        return tuple(
            one.name
            for one, budget in self._found.values()
            if (budget.burn.get(EXHAUSTION_WINDOW) or 0.0) > one.conserving_burn
        )

    def status(self) -> dict[str, Any]:
        """Facts for ``/api/status``."""
        return {"objectives": len(self._wanted[1]), "computations": self._runs, "failures": self._failures}


def compute_budget(objective: Objective, queries: Queries, now_ms: int) -> Budget:
    """The budget of an objective at ``now_ms``. Raises: NissaError."""
    start_ms, end_ms = window_of(objective, now_ms)
    whole = _events(objective, queries, max(end_ms - start_ms, MINUTE_MS), now_ms)
    recent = {name: _events(objective, queries, length_ms, now_ms) for name, length_ms in BURN_WINDOWS_MS.items()}
    return budget_of(objective, (start_ms, end_ms), whole, recent)


def _events(objective: Objective, queries: Queries, length_ms: int, now_ms: int) -> EventCount:
    window = f"{length_ms // SECOND_MS}s"
    total, bad = (_number(queries, over(text, window), now_ms) for text in (objective.total, objective.bad))
    return EventCount(total, max(bad, 0.0))


def _number(queries: Queries, expression: str, now_ms: int) -> float:
    """The sum of an answer without what is not a number; 0 where there is nothing."""
    values = [sample.value for sample in queries.instant(expression, now_ms)]
    return sum(value for value in values if value == value)


def _samples(budget: Budget, now_ms: int) -> list[RecordedSample]:
    labels = {"job": "nissa", "slo_name": budget.objective}
    found = [RecordedSample({**labels, NAME_LABEL: REMAINING}, now_ms, budget.remaining_percent)]
    for window, rate in budget.burn.items():
        if rate is not None:
            found.append(RecordedSample({**labels, NAME_LABEL: BURN, "window": window}, now_ms, rate))
    return found
