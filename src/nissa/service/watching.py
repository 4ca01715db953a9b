"""Rules, objectives, incidents and service level agreements of the process.

The libraries of rules are loaded only when there are some, at start or by a reload.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.model.alert import AlertReceiver
from nissa.model.errors import BadQuery
from nissa.model.intake import Intake
from nissa.query.api_counts import ApiCounts
from nissa.service.incident_tasks import IncidentTasks
from nissa.service.silver_tasks import SilverTasks
from nissa.service.sla_tasks import SlaTasks

if TYPE_CHECKING:
    from nissa.api.rule_control import AnswersRanges
    from nissa.database.database import Database
    from nissa.rules.group import GroupEvaluation
    from nissa.service.rule_tasks import RuleTasks
    from nissa.service.slo_tasks import SloTasks
    from nissa.slo.budget import Budget
    from nissa.slo.objective import Objective

NAMES: Final = ("iterations", "evaluations", "failures", "missed", "save_failures", "send_failures", "groups", "rules")
IDLE: Final = dict.fromkeys((*NAMES, "alerts_firing", "alerts_pending", "longest_evaluation_seconds"), 0)
SLO_IDLE: Final = dict.fromkeys(("objectives", "computations", "failures"), 0)


class Watching:
    """Rule groups and objectives, or none. Offers ``RuleControl`` and ``SloControl``; a reload may begin with them."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        intake: Intake,
        receiver: AlertReceiver,
        database: "Callable[[], Database]",
        now_ms: Callable[[], int],
    ) -> None:
        """receiver: takes alerts. database: opens it; blocks. now_ms: wall clock. Raises: ConfigInvalid."""
        self._incidents = IncidentTasks(config, engine, database, receiver, self, now_ms)
        self._sla = SlaTasks(config, engine, database, self._incidents.store, now_ms)
        self._silver = SilverTasks(config, engine, database, receiver, now_ms)
        self._place = engine, intake, self._incidents, now_ms
        self._tasks: tuple[RuleTasks, SloTasks] | None = self._load(config) if is_watching(config) else None
        self._started = False
        self._status_page, self._performance = config.status_page, config.performance
        self._counts = ApiCounts()

    def _load(self, config: Config) -> "tuple[RuleTasks, SloTasks]":
        from nissa.service.rule_tasks import RuleTasks  # loads the evaluator of PromQL
        from nissa.service.slo_tasks import SloTasks

        engine, intake, receiver, now_ms = self._place
        return RuleTasks(config, engine, intake, receiver, now_ms), SloTasks(config, engine, intake, now_ms)

    @property
    def parts(self) -> "list[WatchedPart]":
        """Sections that a reload reads again."""
        return [
            WatchedPart("rules", self._prepare),
            WatchedPart("slo", lambda _: _nothing),
            WatchedPart("sla", self._sla.prepare),
        ]

    def _prepare(self, config: Config) -> Callable[[], None]:
        if self._tasks is None:
            if not is_watching(config):
                return _nothing
            fresh = self._load(config)

            def begin() -> None:
                self._tasks = fresh
                if self._started:
                    self._start_rules()

            return begin
        applies = [part.prepare(config) for part in self._tasks]

        def apply() -> None:
            for one in applies:
                one()

        return apply

    def start(self) -> None:
        """Begin to evaluate; on the loop."""
        self._started = True
        self._incidents.start()
        self._sla.start()
        self._silver.start()
        self._start_rules()

    def _start_rules(self) -> None:
        for part in self._tasks or ():
            part.start()

    async def stop(self) -> None:
        """End; evaluations under way end first."""
        for part in self._tasks or ():
            await part.stop()
        await self._incidents.stop()
        await self._sla.stop()
        await self._silver.stop()

    def status(self) -> dict[str, Any]:
        """Sections of ``/api/status``."""
        own = {**self._counts.facts(), "incidents": self._incidents.status()}
        own |= {"sla": self._sla.status(), "silver": self._silver.status()}
        if self._tasks is None:
            return {"rules": IDLE, "slo": SLO_IDLE, **own}
        rules, slos = self._tasks
        return {"rules": rules.status(), "slo": slos.status(), **own}

    @property
    def api_facts(self) -> dict[str, Any]:
        """Fields of ``Facts``."""
        return {
            "rules": self,
            "slos": self,
            "incidents": self._incidents,
            "sla": self._sla,
            "silver": self._silver,
            "status_page": self._status_page,
            "performance": self._performance,
            "api_counts": self._counts,
        }

    def burning(self) -> tuple[str, ...]:
        """Names of objectives whose burn puts Nissa into conservative mode now."""
        return self._tasks[1].burning() if self._tasks is not None else ()

    # ---- RuleControl ----

    def evaluations(self) -> "Sequence[tuple[GroupEvaluation, int]]":
        """As ``RuleControl`` says."""
        return self._tasks[0].evaluations() if self._tasks is not None else []

    def acknowledgements(self) -> Mapping[str, Any]:
        """As ``RuleControl`` says."""
        return self._tasks[0].acknowledgements() if self._tasks is not None else {}

    def acknowledge(self, fingerprint: str, user: str, comment: str) -> Any:
        """As ``RuleControl`` says."""
        if self._tasks is None:
            raise BadQuery("no rules are configured (setting rules)")
        return self._tasks[0].acknowledge(fingerprint, user, comment)

    def history(self, start_ms: int, end_ms: int, fingerprint: str, limit: int) -> Sequence[Any]:
        """As ``RuleControl`` says."""
        return self._tasks[0].history(start_ms, end_ms, fingerprint, limit) if self._tasks is not None else []

    def backtest(
        self,
        text: bytes,
        reader: "AnswersRanges",
        span_ms: tuple[int, int],
        interval_ms: int,
        check: Callable[[], object],
    ) -> Sequence[Mapping[str, Any]]:
        """As ``RuleControl`` says."""
        # Loaded here: most daemons are never asked for one.
        from nissa.service.rule_backtest import BacktestBounds, backtest_text

        return backtest_text(text, reader, span_ms, interval_ms, BacktestBounds(), check)

    # ---- SloControl ----

    def objectives(self) -> "list[tuple[Objective, Budget | None, str]]":
        """As ``SloControl`` says."""
        return self._tasks[1].objectives() if self._tasks is not None else []

    def snapshots(self, name: str, start_ms: int, end_ms: int, limit: int) -> list[dict[str, Any]]:
        """As ``SloControl`` says."""
        return self._tasks[1].history(name, start_ms, end_ms, limit) if self._tasks is not None else []


class WatchedPart:
    """A section of the settings that is read again."""

    def __init__(self, path: str, prepare: Callable[[Config], Callable[[], None]]) -> None:
        self.path = path
        self.prepare = prepare


def _nothing() -> None:
    return


def is_watching(config: Config) -> bool:
    """True where the settings name rules or objectives."""
    return bool(config.rules.files or config.rules.shipped or config.slo.files or config.slo.shipped)
