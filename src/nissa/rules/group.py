"""Evaluates one group at one time: rules in order, the results of earlier ones visible to later ones.

    expression ──► series ─┬─ recording: labels of the rule ──────────────► samples ──► recorder
                           └─ alerting:  labels, annotations ──► advance ──► ALERTS, ALERTS_FOR_STATE, transitions

Samples are stored together at the end, or before a rule that reads one of their metrics. A series that a rule gave last
time and gives no more ends with a staleness marker. A rule that fails leaves its alerts and series as they were; one
with more alerts than the ``limit`` of its group drops them all.
"""

import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from nissa.alerting.lifecycle import ActiveAlert, AlertChange, FoundAlert, Timing, advance, dropped
from nissa.model.alert import ALERT_NAME, AlertState, label_fingerprint
from nissa.model.errors import BadQuery, NissaError
from nissa.model.matcher import NAME_LABEL
from nissa.model.units import SECOND_MS
from nissa.rules.queries import Queries, RecordedSample, Recorder, RuleSample
from nissa.rules.rule import Rule, RuleGroup
from nissa.rules.template import TemplateFacts, expand, failure_text
from nissa.rules.text_limits import TextLimits

STALE: Final = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
ALERTS: Final = "ALERTS"
FOR_STATE: Final = "ALERTS_FOR_STATE"
ALERTS_PER_RULE_MAX: Final = 100_000
LabelKey = tuple[tuple[str, str], ...]


class RuleFailed(NissaError):
    """The result of a rule cannot be used: two series with the same labels, or more than its limit."""


class AlertsDropped(RuleFailed):
    """A rule has more alerts than the limit of its group: all were dropped. changes: how those known before ended."""

    def __init__(self, reason: str, changes: list[AlertChange]) -> None:
        super().__init__(reason)
        self.changes = changes


class Surroundings(msgspec.Struct, frozen=True):
    """Facts that templates and limits of all rules have in common."""

    external_labels: dict[str, str] = {}
    external_url: str = ""
    series_max: int = ALERTS_PER_RULE_MAX
    texts: TextLimits = TextLimits()


class RuleState(msgspec.Struct):
    """A rule while it runs. alerts: by fingerprint. key: its name, unique in its group. series: of the last result."""

    rule: Rule
    key: str
    alerts: dict[str, ActiveAlert] = {}
    series: dict[LabelKey, dict[str, str]] = {}
    error: str = ""
    evaluated_ms: int = 0
    duration_s: float = 0.0
    evaluations: int = 0
    failures: int = 0


class GroupEvaluation:
    """One group and the state of its rules. ``evaluate`` is called by one thread at a time; the rest is safe."""

    def __init__(self, group: RuleGroup, surroundings: Surroundings, elapsed_s: Callable[[], float]) -> None:
        """elapsed_s: a monotonic clock, for durations."""
        self.group = group
        self._around = surroundings
        self._elapsed_s = elapsed_s
        self.lock = threading.Lock()
        self.states = _states(group)
        self._expressions = tuple(rule.expression for rule in group.rules if rule.events is None)
        self.evaluated_ms = 0
        self.duration_s = 0.0
        self.hold_until_ms = 0
        self._ended: list[dict[str, str]] = []  # series of rules that are gone

    def take_over(self, before: "GroupEvaluation") -> None:
        """Go on with the alerts and series of the same group as it was read before."""
        left = {state.key: state for state in before.states}
        for state in self.states:
            old = left.get(state.key)
            if old is not None and old.rule.kind is state.rule.kind:
                state.alerts, state.series = old.alerts, old.series
                del left[state.key]
        self._ended += [labels for state in left.values() for labels in state.series.values()]
        self.evaluated_ms, self.hold_until_ms = before.evaluated_ms, before.hold_until_ms

    def evaluate(self, at_ms: int, queries: Queries, recorder: Recorder) -> list[AlertChange]:
        """Evaluate every rule at ``at_ms``. Returns: transitions of alerts. Faults are in the states of the rules."""
        begin_s = self._elapsed_s()
        waiting: list[RecordedSample] = []
        names: set[str] = set()
        changes: list[AlertChange] = []
        waiting += self.take_ended(at_ms)
        queries.expect(self._expressions, at_ms - self.group.offset_ms)
        for place, state in enumerate(self.states):
            rule_s = self._elapsed_s()
            state.evaluations += 1
            try:
                if names and _reads(queries, state.rule, names):
                    self._store(recorder, waiting, queries, self.states[:place])
                    names.clear()
                made, moved = self._evaluate_rule(state, at_ms, queries)
                waiting += made
                changes += moved
                names.update(sample.labels.get(NAME_LABEL, "") for sample in made[:1])
                names |= {ALERTS, FOR_STATE} if state.rule.has_alerts else {state.rule.name}
                state.error = ""
            except NissaError as error:
                state.failures += 1
                state.error = str(error)[:1000]
                changes += error.changes if isinstance(error, AlertsDropped) else ()
            state.evaluated_ms, state.duration_s = at_ms, self._elapsed_s() - rule_s
        with suppress(NissaError):  # the states of the rules say so
            self._store(recorder, waiting, queries, self.states)
        queries.renew()
        self.evaluated_ms, self.duration_s = at_ms, self._elapsed_s() - begin_s
        return changes

    @staticmethod
    def _store(
        recorder: Recorder, waiting: list[RecordedSample], queries: Queries, states: Sequence[RuleState]
    ) -> None:
        """Store what waits. states: of the rules that made it; they have the error where it is not stored."""
        if not waiting:
            return
        taken = waiting.copy()
        waiting.clear()
        try:
            recorder.record(taken)
        except NissaError as error:
            for state in states:
                if not state.rule.has_alerts and not state.error:
                    state.error = f"samples were not stored: {error}"[:1000]
                    state.failures += 1
            raise
        queries.renew()

    def _evaluate_rule(
        self, state: RuleState, at_ms: int, queries: Queries
    ) -> tuple[list[RecordedSample], list[AlertChange]]:
        result = self._result(state.rule, at_ms - self.group.offset_ms, queries)
        if not state.rule.has_alerts:
            return self._recorded(state, result, at_ms), []
        found = self._found(state.rule, result, at_ms, queries)
        if not self.group.limit:
            self._check_limit(len(found), "alerts")
        timing = Timing(state.rule.for_ms, state.rule.keep_firing_ms, self.hold_until_ms)
        with self.lock:
            before = {one.fingerprint: str(one.state) for one in state.alerts.values()} if self.group.limit else {}
            moved = advance(state.alerts, found, at_ms, timing)
            self._drop_too_many(state, before, at_ms)
            changes = [AlertChange(state.key, one, state.alerts.get(one.fingerprint)) for one in moved]
            made = alert_samples(state.alerts.values(), at_ms - self.group.offset_ms)
        return self._with_ends(state, made, at_ms), changes

    @staticmethod
    def _result(rule: Rule, at_ms: int, queries: Queries) -> Sequence[RuleSample]:
        return queries.instant(rule.expression, at_ms) if rule.events is None else queries.events(rule.events, at_ms)

    def _recorded(self, state: RuleState, result: Sequence[RuleSample], at_ms: int) -> list[RecordedSample]:
        self._check_limit(len(result), "series")
        rule, seen, made = state.rule, set[LabelKey](), []
        for sample in result:
            labels = _merged({**sample.labels, NAME_LABEL: rule.name}, rule.labels)
            key = _key(labels)
            if key in seen:
                raise RuleFailed("vector contains metrics with the same labelset after applying rule labels")
            seen.add(key)
            made.append(RecordedSample(labels, at_ms - self.group.offset_ms, sample.value))
        return self._with_ends(state, made, at_ms)

    def _with_ends(self, state: RuleState, made: list[RecordedSample], at_ms: int) -> list[RecordedSample]:
        """Samples, and markers of the series that have ended."""
        now = {_key(sample.labels): sample.labels for sample in made}
        ended = [labels for key, labels in state.series.items() if key not in now]
        state.series = now
        return made + [RecordedSample(labels, at_ms - self.group.offset_ms, STALE) for labels in ended]

    def _drop_too_many(self, state: RuleState, before: Mapping[str, str], at_ms: int) -> None:
        if not 0 < self.group.limit < len(state.alerts):
            return
        count = sum(alert.state is not AlertState.RESOLVED for alert in state.alerts.values())
        if count > self.group.limit:
            changes = [AlertChange(state.key, one, None) for one in dropped(state.alerts, before, at_ms)]
            raise AlertsDropped(f"exceeded limit of {self.group.limit} with {count} alerts", changes)

    def _check_limit(self, count: int, kind: str) -> None:
        limit = self.group.limit or self._around.series_max
        if count > limit:
            raise RuleFailed(f"exceeded limit of {limit} with {count} {kind}")

    def _found(self, rule: Rule, result: Sequence[RuleSample], at_ms: int, queries: Queries) -> list[FoundAlert]:
        def ask(expression: str) -> list[dict[str, Any]]:
            return [{"Labels": one.labels, "Value": one.value} for one in queries.instant(expression, at_ms)]

        found, seen = [], set[str]()
        for sample in result:
            own = {name: value for name, value in sample.labels.items() if name != NAME_LABEL}
            facts = TemplateFacts(
                own, sample.value, self._around.external_labels, self._around.external_url, at_ms, ask
            )
            labels = _merged(own, _expanded(rule.labels, facts, self._around.texts, "labels"))
            labels[ALERT_NAME] = rule.name
            fingerprint = label_fingerprint(labels)
            if fingerprint in seen:
                raise RuleFailed("vector contains metrics with the same labelset after applying alert labels")
            seen.add(fingerprint)
            annotations = _expanded(rule.annotations, facts, self._around.texts, "annotations")
            found.append(FoundAlert(labels, annotations, sample.value, fingerprint))
        return found

    def end(self, at_ms: int) -> list[AlertChange]:
        """Resolve every alert that fires and forget those pending, as the group is gone."""
        changes = []
        with self.lock:
            for state in self.states:
                moved = advance(state.alerts, (), at_ms, Timing())
                changes += [AlertChange(state.key, one, state.alerts.get(one.fingerprint)) for one in moved]
                self._ended += list(state.series.values())
                state.series = {}
        return changes

    def take_ended(self, at_ms: int) -> list[RecordedSample]:
        """Staleness markers of the series that have ended since the last evaluation."""
        ended, self._ended = self._ended, []
        return [RecordedSample(labels, at_ms - self.group.offset_ms, STALE) for labels in ended]

    def restore(self, alerts: Mapping[str, dict[str, ActiveAlert]], hold_until_ms: int) -> dict[str, list[ActiveAlert]]:
        """Go on with stored alerts. alerts: by the key of their rule and fingerprint. Returns: those without a rule."""
        left = {key: list(found.values()) for key, found in alerts.items()}
        for state in self.states:
            if state.rule.has_alerts and state.key in left:
                state.alerts = {one.fingerprint: one for one in left.pop(state.key)}
                made = alert_samples(state.alerts.values(), 0)
                state.series = {_key(sample.labels): sample.labels for sample in made}
        self.hold_until_ms = hold_until_ms
        return left


def alert_samples(alerts: Any, at_ms: int) -> list[RecordedSample]:
    """ALERTS and ALERTS_FOR_STATE of alerts that are pending or fire."""
    made = []
    for alert in alerts:
        if alert.state is not AlertState.RESOLVED:
            labels = {**alert.labels, NAME_LABEL: ALERTS, "alertstate": str(alert.state)}
            made.append(RecordedSample(labels, at_ms, 1.0))
            labels = {**alert.labels, NAME_LABEL: FOR_STATE}
            made.append(RecordedSample(labels, at_ms, float(alert.active_at_ms // SECOND_MS)))
    return made


def _states(group: RuleGroup) -> list[RuleState]:
    counts: dict[str, int] = {}
    states = []
    for rule in group.rules:
        count = counts[rule.name] = counts.get(rule.name, 0) + 1
        states.append(RuleState(rule, rule.name if count == 1 else f"{rule.name}#{count}"))
    return states


def _reads(queries: Queries, rule: Rule, names: set[str]) -> bool:
    if rule.events is not None:
        return False
    try:
        read = queries.names(rule.expression)
    except BadQuery:
        return False
    return read is None or bool(read & names)


def _key(labels: Mapping[str, str]) -> LabelKey:
    return tuple(sorted(labels.items()))


def _merged(labels: dict[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Labels with others put over them; an empty value takes one away."""
    found = {**labels, **more}
    return {name: value for name, value in found.items() if value}


def _expanded(texts: Mapping[str, str], facts: TemplateFacts, limits: TextLimits, kind: str) -> dict[str, str]:
    """Texts with their templates carried out. One over its limit says so in its place; the alert is never lost."""
    found = {}
    for name, text in texts.items():
        found[name] = expand(text, facts)
        try:
            limits.check_size(name, found[name], kind)
        except ValueError as error:
            found[name] = failure_text(error)
    return found
