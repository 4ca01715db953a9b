"""Runs the rule groups of the daemon: one task per group on the loop, evaluations on worker threads.

    settings ──prepare──► groups ──apply──► tasks: of new groups start, of others end; the same ones go on
    task     ──slot──► worker: GroupRunner.run(slot) ──► next slot; those that passed meanwhile are missed

Alerts of before a restart come from the database when the first groups start. Wall and monotonic clock are compared at
every turn: where the wall clock has jumped, the times of alerts move along.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import structlog

from nissa.alerting.lifecycle import ActiveAlert, forgotten, shift_restored
from nissa.config.rules import RuleSettings
from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.model.alert import AlertReceiver, AlertState
from nissa.model.errors import BadQuery, NissaError
from nissa.model.intake import Intake
from nissa.model.units import HOUR_MS, SECOND_MS
from nissa.rules.group import GroupEvaluation, Surroundings
from nissa.rules.rule import RuleGroup
from nissa.rules.schedule import missed_between, offset_of, slot_after, slot_before
from nissa.rules.text_limits import TextLimits
from nissa.service.clock import monotonic_ms
from nissa.service.objective_files import read_burn_groups
from nissa.service.rule_files import read_rule_groups, text_limits
from nissa.service.rule_recorder import JournalRecorder
from nissa.service.rule_runner import GroupRunner, Means, engine_queries

if TYPE_CHECKING:
    from nissa.alerting.alert_store import Acknowledgement, AlertStore, PastTransition

JUMP_MS: Final = 10_000  # wall and monotonic clock apart by more: the wall clock was set
RETRY_S: Final = 5.0
COUNTS: Final = ("iterations", "evaluations", "failures", "missed", "save_failures", "send_failures")
SWEEP_INTERVAL_S: Final = HOUR_MS / SECOND_MS

log = structlog.get_logger()


class RuleTasks:
    """All rule groups. Lives on the loop; ``status`` and ``evaluations`` are safe from any thread."""

    path: Final = "rules"

    def __init__(
        self, config: Config, engine: Engine, intake: Intake, receiver: AlertReceiver | None, now_ms: Callable[[], int]
    ) -> None:
        """receiver: takes alerts; None: alerts are not sent. Raises: ConfigInvalid where a rule file has a fault."""
        self._config = config
        self._engine = engine
        self._intake = intake
        self._receiver = receiver
        self._now_ms = now_ms
        self._texts = text_limits(config.alerting)
        self._wanted = config.rules, _read_groups(config), self._texts
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._runners: dict[str, tuple[GroupRunner, asyncio.Task[None]]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._store: AlertStore | None = None
        self._settings = config.rules
        self._ended = dict.fromkeys(COUNTS, 0)

    # ---- settings ----

    def prepare(self, config: Config) -> Callable[[], None]:
        """As ``Reloadable`` says."""
        groups = _read_groups(config)

        def apply() -> None:
            self._wanted = config.rules, groups, text_limits(config.alerting)
            self._changed.set()

        return apply

    def start(self) -> None:
        """Begin to evaluate."""
        self._changed.set()
        self._task = asyncio.get_running_loop().create_task(self._supervise())

    async def stop(self) -> None:
        """End all tasks; evaluations under way end first. Alerts stay as they are."""
        tasks = [task for _, task in self._runners.values()]
        tasks += [self._task] if self._task is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._pool is not None:
            await asyncio.to_thread(self._pool.shutdown)
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    async def _supervise(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._changed.wait(), SWEEP_INTERVAL_S)
                self._changed.clear()
                await self._change()
            except TimeoutError:
                await self._sweep()
            except NissaError as error:  # the database does not open yet
                log.error("rules are not evaluated yet", reason=str(error), retry_s=RETRY_S)
                self._changed.set()
                await asyncio.sleep(RETRY_S)

    async def _sweep(self) -> None:
        if self._store is None:
            return
        try:
            await asyncio.to_thread(self._store.sweep, self._now_ms() - self._settings.history_ms)
        except NissaError as error:
            log.warning("old transitions of alerts are not deleted", reason=str(error))

    async def _change(self) -> None:
        """Start, replace and end groups, as the settings wanted now say."""
        settings, groups, texts = self._wanted
        loaded: dict[str, dict[str, dict[str, ActiveAlert]]] = {}
        seen: dict[str, int] = {}
        if groups and self._store is None:
            self._store, loaded, seen = await asyncio.to_thread(self._open_store)
        if groups and self._pool is None:
            self._pool = ThreadPoolExecutor(settings.threads, "nissa-rules")
        same_settings = (settings, texts) == (self._settings, self._texts)
        self._settings, self._texts = settings, texts
        wanted = {group.key: group for group in groups}
        before = dict(self._runners)
        for key, (runner, task) in before.items():
            if key in wanted and same_settings and wanted[key] == runner.evaluation.group:
                continue
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._count_ended(runner)
            del self._runners[key]
            if key not in wanted:
                await asyncio.to_thread(runner.end, self._now_ms())
        for key, group in wanted.items():
            if key not in self._runners:
                old = before[key][0].evaluation if key in before else None
                runner, pairs = self._start_group(group, old, loaded.pop(key, {}), seen.get(key, 0))
                await asyncio.to_thread(_end_alerts, runner, pairs, self._now_ms())
        if loaded:
            await asyncio.to_thread(self._forget, loaded)

    def _open_store(self) -> "tuple[AlertStore, dict[str, dict[str, dict[str, ActiveAlert]]], dict[str, int]]":
        from nissa.alerting.alert_store import AlertStore  # loads SQLAlchemy, which takes half a second
        from nissa.database.database import open_database

        store = AlertStore(open_database(self._config.database, self._engine.directory))
        return store, store.load(), store.evaluated_ms()

    def _means(self) -> Means:
        settings = self._settings
        base = settings.external_url.rstrip("/")
        if self._store is None:
            raise NissaError("the database is not open")
        return Means(
            engine_queries(self._engine, self._config, monotonic_ms),
            JournalRecorder(self._intake, self._now_ms, settings.record_timeout_ms / SECOND_MS),
            self._store,
            self._receiver,
            self._now_ms,
            settings.resend_delay_ms,
            f"{base}/graph?g0.expr=" if base else "",
        )

    def _start_group(
        self,
        group: RuleGroup,
        old: GroupEvaluation | None,
        stored: dict[str, dict[str, ActiveAlert]],
        seen_ms: int,
    ) -> tuple[GroupRunner, list[tuple[str, ActiveAlert]]]:
        settings, now_ms = self._settings, self._now_ms()
        evaluation = GroupEvaluation(group, _surroundings(settings, self._texts), lambda: monotonic_ms() / SECOND_MS)
        runner = GroupRunner(evaluation, self._means(), group.interval_ms or settings.interval_ms)
        pairs: list[tuple[str, ActiveAlert]] = []
        if old is not None:
            evaluation.take_over(old)
        elif stored:
            kept = {
                rule: {
                    one.fingerprint: one
                    for one in shift_restored(alerts.values(), seen_ms, now_ms, settings.outage_ms_max)
                }
                for rule, alerts in stored.items()
            }
            left = evaluation.restore(kept, now_ms + settings.restore_grace_ms)
            pairs = [(rule, alert) for rule, alerts in left.items() for alert in alerts]
        self._runners[group.key] = runner, asyncio.get_running_loop().create_task(self._run_group(runner))
        return runner, pairs

    def _forget(self, loaded: dict[str, dict[str, dict[str, ActiveAlert]]]) -> None:
        """Alerts of groups that are in no file any more resolve."""
        now_ms = self._now_ms()
        for key, rules in loaded.items():
            file, _, name = key.rpartition(";")
            evaluation = GroupEvaluation(RuleGroup(file, name, ()), Surroundings(), float)
            runner = GroupRunner(evaluation, self._means(), self._settings.interval_ms)
            pairs = [(rule, alert) for rule, alerts in rules.items() for alert in alerts.values()]
            _end_alerts(runner, pairs, now_ms)

    # ---- one group ----

    async def _run_group(self, runner: GroupRunner) -> None:
        interval_ms = runner.interval_ms
        offset_ms = offset_of(runner.evaluation.group.key, interval_ms)
        wall_ms, steady_ms = self._now_ms(), monotonic_ms()
        due_ms = slot_after(wall_ms, interval_ms, offset_ms)
        while True:
            await asyncio.sleep(min(max(due_ms - self._now_ms(), 1), interval_ms) / SECOND_MS)
            now_ms, ticks_ms = self._now_ms(), monotonic_ms()
            jump_ms = (now_ms - wall_ms) - (ticks_ms - steady_ms)
            wall_ms, steady_ms = now_ms, ticks_ms
            if abs(jump_ms) > JUMP_MS:
                log.warning("the wall clock has jumped; times of alerts move along", jump_ms=jump_ms)
                runner.shift_clock(jump_ms)
                due_ms = slot_after(now_ms, interval_ms, offset_ms)
            if now_ms < due_ms:
                continue
            slot_ms = slot_before(now_ms, interval_ms, offset_ms)
            runner.missed += missed_between(due_ms, slot_ms, interval_ms)
            await self._evaluate(runner, slot_ms, ticks_ms - (now_ms - slot_ms))
            due_ms = max(slot_ms, runner.slot_ms) + interval_ms

    async def _evaluate(self, runner: GroupRunner, due_ms: int, due_steady_ms: int) -> None:
        running = asyncio.get_running_loop().run_in_executor(self._pool, runner.run_newest, due_ms, due_steady_ms)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait((running,))  # its state must be whole when the task ends
            raise
        except Exception:  # one group must not stop the others, nor its own next evaluation
            log.exception("evaluation of a rule group failed", group=runner.evaluation.group.key)

    # ---- for the API ----

    def evaluations(self) -> list[tuple[GroupEvaluation, int]]:
        """Groups and their intervals in milliseconds, in the order of the files."""
        order = {group.key: place for place, group in enumerate(self._wanted[1])}
        runners = [runner for runner, _ in list(self._runners.values())]
        runners.sort(key=lambda runner: order.get(runner.evaluation.group.key, len(order)))
        return [(runner.evaluation, runner.interval_ms) for runner in runners]

    def acknowledgements(self) -> "Mapping[str, Acknowledgement]":
        """As ``RuleControl`` says."""
        return {} if self._store is None else self._store.acknowledgements()

    def acknowledge(self, fingerprint: str, user: str, comment: str) -> "Acknowledgement":
        """As ``RuleControl`` says."""
        from nissa.alerting.alert_store import Acknowledgement

        if "\0" in user + comment:
            raise BadQuery("user and comment must not hold a zero character")
        alert = self._firing(fingerprint)
        if self._store is None or alert is None:
            raise BadQuery(f"no alert with the fingerprint {fingerprint[:40]!r} fires")
        found = Acknowledgement(fingerprint, alert.fired_at_ms, self._now_ms(), user, comment)
        self._store.acknowledge(found)
        alert.acknowledge()
        return found

    def _firing(self, fingerprint: str) -> ActiveAlert | None:
        for evaluation, _ in self.evaluations():
            for state in evaluation.states:
                alert = state.alerts.get(fingerprint)
                if alert is not None and alert.state is AlertState.FIRING:
                    return alert
        return None

    def history(self, start_ms: int, end_ms: int, fingerprint: str, limit: int) -> "Sequence[PastTransition]":
        """As ``RuleControl`` says."""
        return [] if self._store is None else self._store.history(start_ms, end_ms, fingerprint, limit)

    def _count_ended(self, runner: GroupRunner) -> None:
        for name, value in _counts(runner).items():
            self._ended[name] += value

    def status(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and metrics."""
        totals = dict(self._ended)
        firing = pending = rules = 0
        longest_s = 0.0
        runners = [runner for runner, _ in list(self._runners.values())]
        for runner in runners:
            for name, value in _counts(runner).items():
                totals[name] += value
            rules += len(runner.evaluation.states)
            longest_s = max(longest_s, runner.evaluation.duration_s)
            firing, pending = firing + runner.firing, pending + runner.pending
        return {
            **totals,
            "groups": len(runners),
            "rules": rules,
            "alerts_firing": firing,
            "alerts_pending": pending,
            "longest_evaluation_seconds": longest_s,
        }


def _counts(runner: GroupRunner) -> dict[str, int]:
    return {name: getattr(runner, name) for name in COUNTS}


def _end_alerts(runner: GroupRunner, pairs: Sequence[tuple[str, ActiveAlert]], now_ms: int) -> None:
    if pairs:
        changes = forgotten(pairs, now_ms)
        runner.send_ended([alert for _, alert in pairs if alert.state is AlertState.RESOLVED], changes, now_ms)


def _read_groups(config: Config) -> tuple[RuleGroup, ...]:
    return read_rule_groups(config.rules, text_limits(config.alerting)) + read_burn_groups(config.slo)


def _surroundings(settings: RuleSettings, texts: TextLimits) -> Surroundings:
    return Surroundings(settings.external_labels, settings.external_url, settings.series_per_rule_max, texts)
