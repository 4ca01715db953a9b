"""Rule files: read as Prometheus reads them, refused with their line."""

import subprocess
from pathlib import Path

import pytest

from nissa.model.errors import ConfigInvalid
from nissa.promql.parse import read_expression
from nissa.rules.rule import Rule, RuleGroup, RuleKind
from nissa.rules.rule_file import parse_rule_file, read_duration_ms

HEAD = "groups:\n- name: g\n  rules:\n  - "


def read(text: str) -> tuple[RuleGroup, ...]:
    """The groups of a text."""
    return parse_rule_file(text.encode(), "rules.yaml", read_expression)


def test_every_key_is_read() -> None:
    """A group and its rules with all that can be written."""
    (group,) = read(
        """
groups:
- name: g
  interval: 1m30s
  query_offset: 10s
  limit: 5
  labels: {team: a, own: group}
  rules:
  - record: job:x:sum
    expr: sum by (job) (x)
    labels: {own: rule}
  - alert: High
    expr: x > 1
    for: 5m
    keep_firing_for: 1h
    annotations: {summary: "{{ $value }}"}
"""
    )
    assert group == RuleGroup(
        "rules.yaml",
        "g",
        (
            Rule(RuleKind.RECORDING, "job:x:sum", "sum by (job) (x)", labels={"team": "a", "own": "rule"}),
            Rule(
                RuleKind.ALERTING,
                "High",
                "x > 1",
                300_000,
                3_600_000,
                {"team": "a", "own": "group"},
                {"summary": "{{ $value }}"},
            ),
        ),
        90_000,
        10_000,
        5,
    )


def test_the_short_form_becomes_alerting_rules() -> None:
    """The specification's form: severity and routes are labels, texts are annotations."""
    (group,) = read(
        """
alerts:
  evaluation_interval_s: 30
  rules:
  - name: slow
    expr: x > 18
    for: 3m
    routes: [pagerduty, slack]
    severity: critical
    description: d
    suggested_action: s
"""
    )
    (rule,) = group.rules
    assert (group.name, group.interval_ms, rule.routes) == ("alerts", 30_000, ("pagerduty", "slack"))
    assert rule.labels == {"severity": "critical", "routes": "pagerduty,slack"}
    assert rule.annotations == {"description": "d", "suggested_action": "s"}


FAULTS = [
    ("alert: A\n    expr: x\n    typo: 1", "line 6.*typo"),
    ("alert: A\n    expr: sum(", "line 5.*expr"),
    ("alert: A", "line 4.*expr"),
    ("expr: x", "line 4.*record and alert"),
    ("alert: A\n    record: b\n    expr: x", "line 4.*only one"),
    ("record: b\n    expr: x\n    for: 1m", "line 4.*recording rule"),
    ("record: b-c\n    expr: x", "line 4.*name of a metric"),
    ("alert: A\n    expr: x\n    for: 1 m", "line 6.*duration"),
    ("alert: A\n    expr: x\n    for: 1.5m", "line 6.*duration"),
    ("alert: A\n    expr: x\n    labels: {a-b: c}", "line 6.*label"),
    ("alert: A\n    expr: x\n    labels: {__name__: c}", "line 6.*label"),
    ("alert: A\n    expr: x\n    annotations: {a: '{{ .x'}", "line 6.*template"),
    ("alert: A\n    expr: x\n    annotations: {a: '{{ nope 1 }}'}", "line 6.*nope"),
    ("alert: A\n    expr: x\n- name: g\n  rules: []", "line 6.*repeated"),
    ("alert: A\n    expr: x\n- rules: []", "line 6.*name is missing"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_faults_are_named_with_their_line(text: str, message: str) -> None:
    """Nothing of a file with a fault is taken."""
    with pytest.raises(ConfigInvalid, match=f"(?s)rules.yaml, {message}"):
        read(HEAD + text)


@pytest.mark.needs_debian("prometheus")
def test_promtool_refuses_the_same(tmp_path: Path) -> None:
    """Every fault is one for promtool too."""
    for number, (text, _) in enumerate(FAULTS):
        path = tmp_path / f"{number}.yaml"
        path.write_text(HEAD + text + "\n")
        assert subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, check=False).returncode, (
            text
        )


def test_empty_files_have_no_groups() -> None:
    """Nothing but comments is no fault."""
    assert read("# nothing\n") == read("groups:\n") == ()
    assert read("groups:\n- name: g\n  rules:\n")[0].rules == ()


@pytest.mark.parametrize("text", ["5", "1s2m", "-1m", "1.5h", "", "m", "200000000y"])
def test_durations_are_those_of_prometheus(text: str) -> None:
    """Units in order, whole numbers, none negative."""
    assert (read_duration_ms("0"), read_duration_ms("1h30m"), read_duration_ms("2w")) == (0, 5_400_000, 1_209_600_000)
    with pytest.raises(ValueError, match=r"duration|longer"):
        read_duration_ms(text)


def test_names_hold_no_zero_character() -> None:
    """Names of groups and rules are keys of the database, and PostgreSQL does not store that character."""
    for text in (HEAD + '{alert: "a\\0b", expr: x}', 'groups: [{name: "g\\0", rules: [{record: a, expr: x}]}]'):
        with pytest.raises(ConfigInvalid, match="zero character"):
            read(text)
