"""Alerts over restarts: whatever the evaluation a process ends after, the history is that of one that never ended."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nissa.alerting.alert_store import AlertStore
from nissa.alerting.lifecycle import shift_restored
from nissa.config.database import DatabaseSettings
from nissa.database.database import open_database
from nissa.model.alert import Alert
from nissa.promql.parse import read_expression
from nissa.rules.group import GroupEvaluation, Surroundings
from nissa.rules.queries import RecordedSample
from nissa.rules.rule_file import parse_rule_file
from nissa.service.rule_ground import MemoryGround
from nissa.service.rule_runner import GroupRunner, Means

STEP_MS = 30_000
RULES = b"groups: [{name: g, rules: [{alert: A, expr: x > 0, for: 1m, keep_firing_for: 1m}]}]"
History = list[tuple[int, str, str]]


class Sent:
    """Firings and resolutions that were sent, each once."""

    def __init__(self) -> None:
        self.all: dict[tuple[str, int], int] = {}

    def put(self, alerts: Sequence[Alert], now_ms: int) -> None:
        """As ``AlertReceiver`` says."""
        for one in alerts:
            self.all.setdefault((str(one.state), one.starts_at_ms), now_ms)


@contextmanager
def opened_store(directory: Path) -> Iterator[AlertStore]:
    """The database of a directory."""
    store = AlertStore(open_database(DatabaseSettings(), directory))
    yield store
    store.close()


def run(present: Sequence[bool], restarts: frozenset[int], store: AlertStore) -> tuple[History, Sent]:
    """Evaluate once per step; a restart before a step knows nothing but the database."""
    ground, sent = MemoryGround(), Sent()
    (group,) = parse_rule_file(RULES, "f", read_expression)
    means = Means(ground.queries, ground, store, sent, lambda: 0, 60_000, "")

    def started(at_ms: int) -> GroupRunner:
        evaluation = GroupEvaluation(group, Surroundings(), float)
        stored, seen_ms = store.load().get(group.key, {}), store.evaluated_ms().get(group.key, 0)
        kept = {
            rule: {one.fingerprint: one for one in shift_restored(alerts.values(), seen_ms, at_ms, 3_600_000)}
            for rule, alerts in stored.items()
        }
        evaluation.restore(kept, 0)
        return GroupRunner(evaluation, means, STEP_MS)

    runner = started(0)
    for step, is_there in enumerate(present):
        at_ms = (step + 1) * STEP_MS
        if step in restarts:
            runner = started(at_ms - STEP_MS)
        ground.add([RecordedSample({"__name__": "x"}, at_ms, float(is_there))])
        runner.run(at_ms)
    return [(one.at_ms, one.from_state, one.to_state) for one in store.history(0, 2**62, "", 1_000)], sent


@pytest.mark.long
@settings(max_examples=10)
@example([True] * 4 + [False] * 5, frozenset({6}))  # while keep_firing_for holds it
@example([True] * 2 + [False, True, True, True, False], frozenset({2, 5}))
@given(st.lists(st.booleans(), min_size=4, max_size=14), st.frozensets(st.integers(0, 13), max_size=5))
def test_restarts_change_nothing(present: list[bool], restarts: frozenset[int]) -> None:
    """Transitions, and alerts sent for each firing, are the same with restarts and without."""
    found = []
    for which in (frozenset[int](), restarts):
        with tempfile.TemporaryDirectory() as folder, opened_store(Path(folder)) as store:
            history, sent = run(present, which, store)
            found.append((history, set(sent.all)))
    assert found[0] == found[1]
