"""Runs unit tests of rules as promtool does: every group at each ``evaluation_interval`` from 0, on samples in memory.

An alert test at a time between two evaluations looks at the alerts of the one before.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol

from nissa.model.alert import ALERT_NAME, AlertState
from nissa.model.errors import BadQuery, ConfigInvalid, NissaError
from nissa.rules.group import GroupEvaluation, Surroundings
from nissa.rules.queries import Queries, RecordedSample, Recorder
from nissa.rules.rule import RuleGroup
from nissa.rules.rule_file import Check, read_rule_file
from nissa.rules.unit_test_file import (
    AlertTest,
    ExpressionTest,
    UnitTest,
    UnitTestFile,
    is_same_value,
    read_labels,
    read_unit_test_file,
    read_values,
)

EVALUATIONS_MAX: Final = 1_000_000  # of one test
Shown = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]  # labels and annotations of an alert


class Ground(Protocol):
    """Samples in memory that rules are evaluated on."""

    @property
    def queries(self) -> Queries:
        """Reads them."""

    def add(self, samples: Iterable[RecordedSample]) -> None:
        """Put samples there."""


class _Stored:
    """Results of recording rules go where the input is."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def record(self, samples: Sequence[RecordedSample]) -> None:
        self._ground.add(samples)


def run_unit_test_file(path: Path, check: Check, ground: Callable[[], Ground]) -> list[str]:
    """Run all tests of a file. check: parses an expression. ground: makes a place without samples.

    Returns: a text for each expectation that is not met. Raises: ConfigInvalid for files that cannot be read.
    """
    file = read_unit_test_file(path)
    groups = _groups(path, file, check)
    failures: list[str] = []
    for number, test in enumerate(file.tests):
        name = test.name or f"tests[{number}]"
        try:
            found = _Run(file, test, groups, ground()).failures()
        except BadQuery as error:
            raise ConfigInvalid("", f"{path}: {name}: {error}") from error
        failures += [f"{name}: {failure}" for failure in found]
    return failures


def _groups(path: Path, file: UnitTestFile, check: Check) -> list[RuleGroup]:
    names: list[str] = []
    for pattern in file.rule_files:
        folder = Path("/") if pattern.startswith("/") else path.parent
        matched = sorted(map(str, folder.glob(pattern.lstrip("/"))))
        if not matched:
            raise ConfigInvalid("", f"{path}: rule_files: {pattern!r} matches no file")
        names += matched
    groups = [group for name in names for group in read_rule_file(Path(name), check)]
    order = {name: place for place, name in enumerate(file.group_eval_order)}
    return sorted(groups, key=lambda group: order.get(group.name, len(order))) if order else groups


class _Run:
    def __init__(self, file: UnitTestFile, test: UnitTest, groups: Sequence[RuleGroup], ground: Ground) -> None:
        self._file, self._test, self._ground = file, test, ground
        around = Surroundings(test.external_labels, test.external_url)
        self._groups = [GroupEvaluation(group, around, float) for group in groups]
        for series in test.input_series:
            labels = read_labels(series.series)
            ground.add(
                RecordedSample(labels, at_ms, value) for at_ms, value in read_values(series.values, test.interval)
            )

    def failures(self) -> list[str]:
        step_ms = max(int(self._file.evaluation_interval), 1)
        times = [*(one.eval_time for one in self._test.alert_rule_test)]
        times += [one.eval_time for one in self._test.promql_expr_test]
        last_ms = max(times, default=0)
        if last_ms // step_ms > EVALUATIONS_MAX:
            raise BadQuery(f"more than {EVALUATIONS_MAX} evaluations")
        found: list[str] = []
        recorder: Recorder = _Stored(self._ground)
        for at_ms in range(0, last_ms + 1, step_ms):
            for group in self._groups:
                group.evaluate(at_ms, self._ground.queries, recorder)
                found += [
                    f"rule {state.rule.name!r} at {_time(at_ms)}: {state.error}"
                    for state in group.states
                    if state.error
                ]
            for test in self._test.alert_rule_test:
                if at_ms <= test.eval_time < at_ms + step_ms:
                    found += self._alert_failures(test)
        for expected in self._test.promql_expr_test:
            found += self._expression_failures(expected)
        return found

    def _alert_failures(self, test: AlertTest) -> list[str]:
        got = [
            _shown(alert.labels, alert.annotations)
            for group in self._groups
            for state in group.states
            if state.rule.has_alerts and state.rule.name == test.alertname
            for alert in state.alerts.values()
            if alert.state is AlertState.FIRING
        ]
        wanted = [
            _shown({**one.exp_labels, ALERT_NAME: test.alertname}, one.exp_annotations) for one in test.exp_alerts
        ]
        if sorted(got) == sorted(wanted):
            return []
        return [f"alertname: {test.alertname}, time: {_time(test.eval_time)}\n{_both(_lines(wanted), _lines(got))}"]

    def _expression_failures(self, test: ExpressionTest) -> list[str]:
        place = f"expr: {test.expr!r}, time: {_time(test.eval_time)}"
        try:
            answer = self._ground.queries.instant(test.expr, test.eval_time)
        except NissaError as error:
            return [f"{place}\n    {error}"]
        got = sorted((sorted(one.labels.items()), one.value) for one in answer)
        wanted = sorted((sorted(read_labels(one.labels).items()), one.value) for one in test.exp_samples)
        same = len(got) == len(wanted) and all(
            left[0] == right[0] and is_same_value(left[1], right[1], fuzzy=self._file.fuzzy_compare)
            for left, right in zip(got, wanted, strict=True)
        )
        if same:
            return []
        texts = [[f"{dict(labels)} {value!r}" for labels, value in side] for side in (wanted, got)]
        return [f"{place}\n{_both(*texts)}"]


def _shown(labels: dict[str, str], annotations: dict[str, str]) -> Shown:
    kept = {name: value for name, value in labels.items() if value}
    return tuple(sorted(kept.items())), tuple(sorted(annotations.items()))


def _lines(alerts: list[Shown]) -> list[str]:
    return [f"labels {dict(labels)} annotations {dict(annotations)}" for labels, annotations in sorted(alerts)]


def _both(wanted: list[str], got: list[str]) -> str:
    return "\n".join(
        f"    {name} {'; '.join(texts) or 'nothing'}" for name, texts in (("expected", wanted), ("got", got))
    )


def _time(at_ms: int) -> str:
    return f"{at_ms / 1000:g}s"
