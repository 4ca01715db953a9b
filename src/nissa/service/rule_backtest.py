"""Shows what rules would have done in the stored past.

    expression ──► evaluated over STEPS_AT_ONCE slots at once ──► one slot after another ──► transitions

Results of recording rules are kept in memory only. An expression that reads one of them is evaluated on these results;
one that reads them beside stored metrics is refused. So are event alerts: a backtest reads no events.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from nissa.alerting.lifecycle import AlertTransition
from nissa.api.rule_control import AnswersRanges
from nissa.model.errors import BadQuery, ConfigInvalid
from nissa.promql.limits import ExecutionFailed
from nissa.promql.parse import check_expression
from nissa.promql.values import QueryResult
from nissa.rules.event_match import AlertingEvents
from nissa.rules.group import ALERTS, FOR_STATE, GroupEvaluation, Surroundings
from nissa.rules.queries import RuleSample
from nissa.rules.rule import RuleGroup
from nissa.rules.rule_file import parse_rule_file
from nissa.service.rule_ground import MemoryGround
from nissa.service.rule_queries import metric_names

STEPS_AT_ONCE: Final = 500
SLOTS_MAX: Final = 10_000_000


class BacktestBounds(msgspec.Struct, frozen=True):
    """Of one backtest by the API: rules, evaluations of all groups, changes of states of a group."""

    rules_max: int = 50
    slots_max: int = 20_000
    changes_max: int = 10_000


class PastQueries:
    """Answers at the slots of one group."""

    def __init__(self, reader: AnswersRanges, ground: MemoryGround, made: frozenset[str], step_ms: int) -> None:
        """ground: results of recording rules. made: their names."""
        self._reader = reader
        self._ground = ground
        self._made = made
        self._step_ms = step_ms
        self._chunks: dict[str, tuple[int, QueryResult]] = {}

    def names(self, expression: str) -> frozenset[str] | None:
        """As ``Queries`` says."""
        return metric_names(expression)

    def events(self, match: AlertingEvents, at_ms: int) -> list[RuleSample]:
        """Not supported. Raises: BadQuery."""
        del match, at_ms
        raise BadQuery("event alerts are not backtested; whether this one would have fired is not known")

    def renew(self) -> None:
        """Results of recording rules are there at once."""

    def expect(self, expressions: Sequence[str], at_ms: int) -> None:
        """Nothing: an expression is evaluated for many slots at once."""

    def instant(self, expression: str, at_ms: int) -> list[RuleSample]:
        """As ``Queries`` says. Raises: BadQuery where an expression reads stored metrics and results of rules."""
        names = metric_names(expression) or frozenset()
        if names & self._made:
            if names - self._made:
                raise BadQuery(f"reads results of rules beside stored metrics: {', '.join(sorted(names - self._made))}")
            return self._ground.queries.instant(expression, at_ms)
        first_ms, answer = self._chunk(expression, at_ms)
        return _column(answer, (at_ms - first_ms) // self._step_ms)

    def _chunk(self, expression: str, at_ms: int) -> tuple[int, QueryResult]:
        found = self._chunks.get(expression)
        end_ms = at_ms + (STEPS_AT_ONCE - 1) * self._step_ms
        if found is None or not found[0] <= at_ms <= found[0] + (STEPS_AT_ONCE - 1) * self._step_ms:
            answer = self._reader.answer_range(expression, at_ms / 1000, end_ms / 1000, self._step_ms / 1000)
            found = self._chunks[expression] = at_ms, answer
        return found


def _column(answer: QueryResult, step: int) -> list[RuleSample]:
    if answer.vector is None:
        raise ExecutionFailed("rule result is not a vector or scalar")
    rows = np.flatnonzero(answer.vector.present[:, step]).tolist()
    values = answer.vector.values[rows, step].tolist()
    return [RuleSample(answer.vector.labels.row(row), value) for row, value in zip(rows, values, strict=True)]


def backtest(
    group: RuleGroup,
    reader: AnswersRanges,
    span_ms: tuple[int, int],
    interval_ms: int,
    progress: Callable[[int], object],
) -> Iterator[tuple[str, AlertTransition | str]]:
    """Evaluate a group at every interval of [start, end], Unix milliseconds.

    progress: called with the number of slots done. Yields: name of the rule and a transition, or the first error of it.
    """
    start_ms, end_ms = span_ms
    step_ms = group.interval_ms or interval_ms
    slots = (end_ms - start_ms) // step_ms + 1
    if slots > SLOTS_MAX:
        raise BadQuery(f"{slots} evaluations are over the limit of {SLOTS_MAX}")
    ground = MemoryGround()
    made = frozenset({ALERTS, FOR_STATE} | {rule.name for rule in group.rules if not rule.has_alerts})
    queries = PastQueries(reader, ground, made, step_ms)
    evaluation = GroupEvaluation(group, Surroundings(), float)
    failed: set[str] = set()
    for slot, at_ms in enumerate(range(start_ms, end_ms + 1, step_ms)):
        for change in evaluation.evaluate(at_ms, queries, ground):
            yield change.rule_key, change.transition
        yield from _errors(evaluation, failed)
        progress(slot + 1)


def _errors(evaluation: GroupEvaluation, failed: set[str]) -> Iterator[tuple[str, str]]:
    for state in evaluation.states:
        if state.error and state.key not in failed:
            failed.add(state.key)
            yield state.key, state.error


def firing_spans(changes: Sequence[tuple[str, AlertTransition | str]]) -> list[tuple[str, AlertTransition, int]]:
    """Each time an alert fired: name of the rule, the transition to firing, and when it resolved; 0 for not yet."""
    spans: list[tuple[str, AlertTransition, int]] = []
    began: dict[tuple[str, str], int] = {}
    for rule, change in changes:
        if isinstance(change, str) or not change.is_new_state:
            continue
        key = rule, change.fingerprint
        if change.to_state == "firing":
            began[key] = len(spans)
            spans.append((rule, change, 0))
        elif change.to_state == "resolved" and key in began:
            place = began.pop(key)
            spans[place] = (rule, spans[place][1], change.at_ms)
    return spans


def backtest_text(
    text: bytes,
    reader: AnswersRanges,
    span_ms: tuple[int, int],
    interval_ms: int,
    bounds: BacktestBounds,
    check: Callable[[], object],
) -> list[dict[str, Any]]:
    """Backtest the groups of a rule file that is no file yet.

    span_ms: first and last evaluation, Unix milliseconds. interval_ms: of groups that name none. check: called after
    each slot. Returns: of each group its name, interval, evaluations, firings and errors. Raises: BadQuery for a text
    that cannot be read, or over a bound.
    """
    try:
        groups = parse_rule_file(text, "rules", check_expression)
    except ConfigInvalid as error:
        raise BadQuery(str(error)) from None
    rules = sum(len(group.rules) for group in groups)
    if rules > bounds.rules_max:
        raise BadQuery(f"{rules} rules are over the limit of {bounds.rules_max} in one backtest by the API")
    slots = sum((span_ms[1] - span_ms[0]) // (group.interval_ms or interval_ms) + 1 for group in groups)
    if slots > bounds.slots_max:
        raise BadQuery(
            f"{slots} evaluations are over the limit of {bounds.slots_max}: shorten the range, or evaluate less often"
        )
    return [_group_shape(group, reader, span_ms, interval_ms, bounds, check) for group in groups]


def _group_shape(
    group: RuleGroup,
    reader: AnswersRanges,
    span_ms: tuple[int, int],
    interval_ms: int,
    bounds: BacktestBounds,
    check: Callable[[], object],
) -> dict[str, Any]:
    changes: list[tuple[str, AlertTransition | str]] = []
    for change in backtest(group, reader, span_ms, interval_ms, lambda _done: check()):
        changes.append(change)
        if len(changes) > bounds.changes_max:
            raise BadQuery(f"alerts change their states more than {bounds.changes_max} times: choose a shorter range")
    step_ms = group.interval_ms or interval_ms
    firings = [
        {
            "rule": rule,
            "labels": dict(fired.labels),
            "from_ms": fired.at_ms,
            "until_ms": until_ms or None,
            "value": fired.value,
        }
        for rule, fired, until_ms in firing_spans(changes)
    ]
    errors = [{"rule": rule, "error": error} for rule, error in changes if isinstance(error, str)]
    evaluations = (span_ms[1] - span_ms[0]) // step_ms + 1
    return {
        "name": group.name,
        "interval_ms": step_ms,
        "evaluations": evaluations,
        "firings": firings,
        "errors": errors,
    }
