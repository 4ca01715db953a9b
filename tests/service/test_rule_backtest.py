"""Backtests: alerts fire where they would have, whatever the slots that are evaluated at once."""

import numpy as np
import pytest

from nissa.model.errors import BadQuery
from nissa.promql.evaluate import evaluate_range
from nissa.promql.memory_source import MemorySource
from nissa.promql.parse import read_expression
from nissa.promql.values import QueryResult
from nissa.rules.rule_file import parse_rule_file
from nissa.service import rule_backtest
from nissa.service.rule_backtest import BacktestBounds, backtest, backtest_text, firing_spans

RULES = b"""
groups:
- name: g
  rules:
  - {record: high, expr: max(x)}
  - {alert: High, expr: high > 10, for: 1m}
  - {alert: Low, expr: x < 2}
  - {alert: Mixed, expr: high > on () x}
"""


class Past:
    """Samples of an hour: 20 for minutes 10 to 19 of x{i="1"}."""

    def __init__(self) -> None:
        self.source = MemorySource()
        values = np.where((np.arange(120) >= 20) & (np.arange(120) < 40), 20.0, 5.0)
        self.source.add({"__name__": "x", "i": "1"}, [(place * 30_000, value) for place, value in enumerate(values)])
        self.source.add({"__name__": "x", "i": "2"}, [(place * 30_000, 1.0 + (place > 3)) for place in range(120)])

    def answer_range(self, expression: str, start: float, end: float, step: float) -> QueryResult:
        """The answer of a Reader."""
        return evaluate_range(self.source, expression, round(start * 1000), round(end * 1000), round(step * 1000))


def test_alerts_fire_where_they_would_have(monkeypatch) -> None:
    """Times of firing and resolving, progress, and one error of a rule that cannot be evaluated."""
    monkeypatch.setattr(rule_backtest, "STEPS_AT_ONCE", 7)
    (group,) = parse_rule_file(RULES, "f", read_expression)
    done: list[int] = []
    changes = list(backtest(group, Past(), (0, 3_570_000), 30_000, done.append))
    spans = [(rule, fired.at_ms, until) for rule, fired, until in firing_spans(changes)]
    assert spans == [("Low", 0, 120_000), ("High", 660_000, 1_200_000)]
    assert done == list(range(1, 121))
    assert [rule for rule, change in changes if isinstance(change, str)] == ["Mixed"]


def test_event_alerts_are_left_out_with_a_message() -> None:
    """Each event alert has one message, readable without the code."""
    (group,) = parse_rule_file(b"event_alerts: [{name: Critical}]", "f", read_expression)
    ((rule, message),) = backtest(group, Past(), (0, 90_000), 30_000, lambda _: None)
    assert (rule, message) == (
        "Critical",
        "event alerts are not backtested; whether this one would have fired is not known",
    )


def test_a_text_is_backtested_by_group() -> None:
    """Each with its evaluations, when alerts fired and resolved, and its errors."""
    done: list[None] = []
    (group,) = backtest_text(RULES, Past(), (0, 3_570_000), 30_000, BacktestBounds(), lambda: done.append(None))
    assert (group["name"], group["interval_ms"], group["evaluations"], len(done)) == ("g", 30_000, 120, 120)
    low, high = group["firings"]
    assert (low["rule"], low["from_ms"], low["until_ms"], low["labels"]["i"]) == ("Low", 0, 120_000, "2")
    assert (high["rule"], high["from_ms"], high["until_ms"], high["value"]) == ("High", 660_000, 1_200_000, 20)
    assert [error["rule"] for error in group["errors"]] == ["Mixed"]


@pytest.mark.parametrize(
    ("text", "bounds", "message"),
    [
        (b"groups: [{name: g, rules: [{alert: A, expr: '('}]}]", BacktestBounds(), "line 1"),
        (RULES, BacktestBounds(rules_max=3), "4 rules are over the limit of 3"),
        (RULES, BacktestBounds(slots_max=119), "120 evaluations are over the limit of 119"),
        (RULES, BacktestBounds(changes_max=1), "more than 1 times"),
    ],
)
def test_a_backtest_of_the_api_is_bounded(text: bytes, bounds: BacktestBounds, message: str) -> None:
    """Also in what it finds; the message says which bound it is."""
    with pytest.raises(BadQuery, match=message):
        backtest_text(text, Past(), (0, 3_570_000), 30_000, bounds, lambda: None)
