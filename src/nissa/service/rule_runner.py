"""One evaluation of one group, on a worker thread: evaluate, save, send.

    evaluate ──► transitions ──► database (one transaction) ──► receiver.put(alerts)

What the database does not take is kept for the next evaluation, and alerts are sent all the same: a notification twice
is better than none. What the receiver does not take is sent again by the next evaluation.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol
from urllib.parse import quote_plus

import msgspec
import structlog

from nissa.alerting.lifecycle import ActiveAlert, AlertChange, alerts_to_send, shift_clock
from nissa.api.promql_answers import query_limits
from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.model.alert import Alert, AlertReceiver, AlertState
from nissa.model.allowance import Check
from nissa.model.errors import Damaged, NissaError
from nissa.promql.source import SampleSource
from nissa.promql.stored import StoredSource
from nissa.query.limits import Allowance, MemoryBudget
from nissa.rules.group import GroupEvaluation
from nissa.rules.queries import Recorder
from nissa.service.clock import monotonic_ms
from nissa.service.rule_queries import SourceQueries
from nissa.store.quarantine import Quarantined

UNSAVED_MAX: Final = 100_000

log = structlog.get_logger()


class SavesChanges(Protocol):
    """The database, as an evaluation sees it."""

    def save(self, group: str, changes: Sequence[AlertChange], pending_at_ms: int) -> None:
        """Store transitions. Raises: Unavailable."""


class Means(msgspec.Struct, frozen=True):
    """Parts that evaluations of all groups use. generator_base: start of the link to a query; empty: none."""

    queries: SourceQueries
    recorder: Recorder
    store: SavesChanges
    receiver: AlertReceiver | None
    now_ms: Callable[[], int]
    resend_ms: int
    generator_base: str


class GroupRunner:
    """Runs evaluations of one group, one at a time."""

    def __init__(self, evaluation: GroupEvaluation, means: Means, interval_ms: int) -> None:
        self.evaluation = evaluation
        self.interval_ms = interval_ms
        self.missed = self.save_failures = self.send_failures = 0
        self.slot_ms = 0  # of the last evaluation
        self.iterations = self.evaluations = self.failures = self.firing = self.pending = 0
        self._means = means
        self._unsaved: list[AlertChange] = []

    def run_newest(self, due_ms: int, due_steady_ms: int) -> None:
        """Evaluate at the newest time that is due.

        due_ms, due_steady_ms: when it was due, by the wall clock and by one that never jumps. If it had to wait for a
        thread, the times that passed meanwhile are missed: old samples cost more to read, so groups that evaluated the
        past would fall behind further.
        """
        slots = max(monotonic_ms() - due_steady_ms, 0) // self.interval_ms
        self.missed += slots
        self.run(due_ms + slots * self.interval_ms)

    def run(self, at_ms: int) -> None:
        """Evaluate at ``at_ms``, Unix milliseconds."""
        self.slot_ms = at_ms
        self.iterations += 1
        changes = self.evaluation.evaluate(at_ms, self._means.queries, self._means.recorder)
        self._save(changes, at_ms)
        self._send(at_ms)
        self._count()

    def _count(self) -> None:
        """Sums over all rules, so that the status need not visit them every second."""
        states = self.evaluation.states
        alerts = [alert.state for state in states for alert in state.alerts.values()]
        self.evaluations = sum(state.evaluations for state in states)
        self.failures = sum(state.failures for state in states)
        self.firing, self.pending = alerts.count(AlertState.FIRING), alerts.count(AlertState.PENDING)

    def shift_clock(self, jump_ms: int) -> None:
        """The wall clock has jumped."""
        for state in self.evaluation.states:
            shift_clock(state.alerts.values(), jump_ms)

    def end(self, at_ms: int) -> None:
        """The group is gone: its alerts resolve, its series end."""
        self._save(self.evaluation.end(at_ms), at_ms)
        self._send(at_ms)
        try:
            self._means.recorder.record(self.evaluation.take_ended(at_ms))
        except NissaError as error:
            log.warning("series of a rule group that is gone are not marked as ended", reason=str(error))

    def send_ended(self, alerts: Sequence[ActiveAlert], changes: Sequence[AlertChange], at_ms: int) -> None:
        """Alerts that rules of before a restart have left behind: save that they resolved, and say so."""
        self._save(changes, at_ms)
        self._put(alerts_to_send(alerts, at_ms, self._means.resend_ms, self.interval_ms, ""), at_ms)

    def _save(self, changes: Sequence[AlertChange], at_ms: int) -> None:
        unsaved = [*self._unsaved, *changes]
        is_pending = any(
            alert.state is AlertState.PENDING
            for state in self.evaluation.states
            if state.rule.for_ms
            for alert in state.alerts.values()
        )
        if not unsaved and not is_pending:
            return
        try:
            self._means.store.save(self.evaluation.group.key, unsaved, at_ms if is_pending else 0)
            self._unsaved = []
        except NissaError as error:
            self.save_failures += 1
            self._unsaved = unsaved[-UNSAVED_MAX:]
            log.warning("states of alerts are not saved", group=self.evaluation.group.key, reason=str(error))

    def _send(self, at_ms: int) -> None:
        base, found = self._means.generator_base, list[Alert]()
        for state in self.evaluation.states:
            if state.alerts:
                url = f"{base}{quote_plus(state.rule.expression)}&g0.tab=1" if base else ""
                alerts = list(state.alerts.values())
                found += alerts_to_send(alerts, at_ms, self._means.resend_ms, self.interval_ms, url)
        if not self._put(found, at_ms):
            for state in self.evaluation.states:
                for alert in state.alerts.values():
                    alert.sent_at_ms = 0 if alert.sent_at_ms == at_ms else alert.sent_at_ms

    def _put(self, alerts: Sequence[Alert], at_ms: int) -> bool:
        if not alerts or self._means.receiver is None:
            return True
        try:
            self._means.receiver.put(alerts, max(at_ms, self._means.now_ms()))
        except NissaError as error:
            self.send_failures += 1
            log.warning("alerts are not taken; they are sent again", alerts=len(alerts), reason=str(error))
            return False
        return True


def engine_queries(engine: Engine, config: Config, monotonic_ms: Callable[[], int]) -> SourceQueries:
    """Queries of rules over what an engine stores, under the limits of the API, with a memory budget of their own."""
    limits, timeout_ms = config.api, config.rules.query_timeout_ms
    budget = MemoryBudget(limits.queries_memory_bytes_max)

    def note(damage: Damaged) -> None:
        if not isinstance(damage, Quarantined):
            engine.admin.suspect(damage.path)

    @contextmanager
    def opened(check: Check) -> Iterator[SampleSource]:
        with msgspec.structs.replace(engine.snapshot(), check=check) as snapshot:
            yield StoredSource(engine.index, snapshot, check=check, on_damage=note)

    def allow() -> AbstractContextManager[Check]:
        return _allowed(Allowance(lambda: monotonic_ms() / 1000, timeout_ms, limits.query_memory_bytes_max, budget))

    return SourceQueries(opened, allow, query_limits(limits, "api.query_samples_max"), engine.event_snapshot)


@contextmanager
def _allowed(allowance: Allowance) -> Iterator[Check]:
    with allowance:
        yield allowance.check
