"""Files of objectives: each form becomes two expressions over a window; faults are named with their place."""

import pytest

from nissa.model.errors import ConfigInvalid
from nissa.model.units import DAY_MS
from nissa.promql.parse import read_expression
from nissa.slo.objective import Calendar, Objective, over
from nissa.slo.objective_file import parse_objective_file

HEAD = "slos:\n- name: x\n  target_percentage: 99.5\n  "


def read(text: str) -> tuple[Objective, ...]:
    """Objectives of a text."""
    return parse_objective_file(text.encode(), "slo.yaml", 30 * DAY_MS, read_expression)


@pytest.mark.parametrize(
    ("form", "bad", "total"),
    [
        ("ratio: {bad: 'e{a=\"1\"}', total: t}", 'sum(increase(e{a="1"}[1h]))', "sum(increase(t[1h]))"),
        (
            "ratio: {good: g, total: sum(t)}",
            "(sum(increase(t[1h]))) - ((sum(increase(g[1h]))) or vector(0))",
            "sum(increase(t[1h]))",
        ),
        (
            "ratio: {bad: 'sum(rate(e[$window]))', total: 'sum(rate(t[{{.window}}]))'}",
            "sum(rate(e[1h]))",
            "sum(rate(t[1h]))",
        ),
        ("error_rate: {errors: e, total: t}", "sum(increase(e[1h]))", "sum(increase(t[1h]))"),
        (
            "availability: {up: 'up{job=\"a\"}'}",
            'sum(count_over_time(up{job="a"}[1h])) - sum(sum_over_time(up{job="a"}[1h]))',
            'sum(count_over_time(up{job="a"}[1h]))',
        ),
        (
            "latency: {histogram: h, threshold: 0.1, matchers: 'a=\"1\"'}",
            'sum(increase(h_count{a="1"}[1h])) - (sum(increase(h_bucket{a="1",le="0.1"}[1h])) or vector(0))',
            'sum(increase(h_count{a="1"}[1h]))',
        ),
        (
            "pair: training.latency",
            "sum(sum_over_time((slo_training_latency_actual > bool slo_training_latency_objective)[1h:1m]))",
            "sum(count_over_time((slo_training_latency_actual > bool slo_training_latency_objective)[1h:1m]))",
        ),
    ],
)
def test_each_form_is_two_expressions(form: str, bad: str, total: str) -> None:
    """Bad events and all events, with the window put in."""
    (found,) = read(HEAD + form)
    assert (over(found.bad, "1h"), over(found.total, "1h")) == (bad, total)
    assert (found.target_percent, found.window_ms, found.file) == (99.5, 30 * DAY_MS, "slo.yaml")


def test_the_names_of_the_specification_are_read() -> None:
    """Window in milliseconds, threshold of the burn rate, a calendar."""
    (found,) = read(
        HEAD + "measurement_window_ms: 604800000\n  error_budget_burn_rate_threshold: 10\n  pair: k\n  events_min: 7"
    )
    assert (found.window_ms, found.burn_threshold, found.events_min) == (7 * DAY_MS, 10, 7)
    (found,) = read(HEAD + "calendar: quarter\n  pair: k")
    assert (found.calendar, found.window_ms) == (Calendar.QUARTER, 90 * DAY_MS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "typo: 1", "line 4.*typo"),
        (HEAD + "description: none", "line 2.*expected one of"),
        (HEAD + "pair: k\n  availability: {up: up}", "line 2.*availability and pair"),
        (HEAD + "ratio: {bad: 'sum(x) by', total: t}", "line 4.*selector"),
        (HEAD + "ratio: {bad: 'sum(x[$window)', total: t}", "x:.*parse error"),
        (HEAD.replace("99.5", "100") + "pair: k", "more than 0 and less than 100"),
        (HEAD.replace(": x", ": 'a b'") + "pair: k", "a name is"),
        (HEAD + "measurement_window: 1h\n  pair: k", "at least a day"),
        (
            HEAD + "pair: k\n  error_budget_burn_rate_threshold: -1",
            r"line 5: slos\[0\].error_budget_burn_rate_threshold",
        ),
        (HEAD + "pair: k\n  events_min: -1", r"slos\[0\].events_min: expected a number of at least 0"),
        (
            HEAD + "pair: k\n  calendar: month\n  measurement_window: 7d",
            r"line 6: slos\[0\].measurement_window: .*not both",
        ),
        (HEAD + "pair: k\n  measurement_window: 7d\n  measurement_window_ms: 604800000", "one of the two"),
        (HEAD + "pair: k\n  measurement_window_ms: -1", "milliseconds of at least a day"),
        (HEAD + "pair: k\n" + HEAD.removeprefix("slos:\n") + "pair: k", "repeated"),
    ],
)
def test_faults_are_named(text: str, message: str) -> None:
    """A fault is named with the file, and the line if known."""
    with pytest.raises(ConfigInvalid, match=f"(?s)slo.yaml.*{message}"):
        read(text)
