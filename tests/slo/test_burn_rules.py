"""Rules that watch objectives: factors of the SRE workbook, and when they fire."""

import subprocess
from pathlib import Path

import pytest
import yaml

from nissa.model.units import DAY_MS
from nissa.promql.parse import read_expression
from nissa.rules.unit_test import run_unit_test_file
from nissa.service.rule_ground import MemoryGround
from nissa.slo.burn_rules import burn_rule_groups, written_groups
from nissa.slo.objective import Objective

OBJECTIVE = Objective(
    "api",
    "sum(increase(e[$window]))",
    "sum(increase(t[$window]))",
    99.9,
    30 * DAY_MS,
    burn_threshold=50,
    events_min=100,
)
TESTS = """
rule_files: [rules.yaml]
evaluation_interval: 5m
tests:
- interval: 1m
  input_series:
  - {series: t, values: '0+100x400'}
  - {series: e, values: '0x120 0+2x280'}
  promql_expr_test:
  - {expr: 'count by (alertname, long) (ALERTS)', eval_time: 2h, exp_samples: []}
  - expr: 'count by (alertname, long, severity) (ALERTS)'
    eval_time: 5h30m
    exp_samples:
    - {labels: '{alertname="SloBudgetSpentInADay", severity="page"}', value: 1}
    - {labels: '{alertname="SloBurnRate", long="1h", severity="page"}', value: 1}
    - {labels: '{alertname="SloBurnRate", long="1d", severity="ticket"}', value: 1}
    - {labels: '{alertname="SloBurnRate", long="3d", severity="ticket"}', value: 1}
    - {labels: '{alertname="SloBurnRate", long="6h", severity="page"}', value: 1}
- name: few events
  interval: 1m
  input_series:
  - {series: t, values: '0+1x80'}
  - {series: e, values: '0+1x80'}
  promql_expr_test:
  - {expr: 'count(ALERTS)', eval_time: 75m, exp_samples: []}
"""


def test_factors_are_those_of_the_workbook() -> None:
    """14.4, 6, 3 and 1 in 30 days, and 12 for 40 % within a day."""
    rules = [rule for group in burn_rule_groups(OBJECTIVE, 0.4) for rule in group.rules if rule.has_alerts]
    assert [rule.expression.split(" and ")[0].split("} ")[1] for rule in rules] == [
        "> 14.4 * 0.001",
        "> 6 * 0.001",
        "> 3 * 0.001",
        "> 1 * 0.001",
        ">= 12 * 0.001",
        "> 50 * 0.001",
    ]
    assert all(read_expression(rule.expression) for rule in rules)


def test_they_fire_when_both_windows_burn(tmp_path: Path) -> None:
    """Nothing while nothing is bad or few events come; all windows once 2 % are bad."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(written_groups(burn_rule_groups(OBJECTIVE, 0.4))))
    (tmp_path / "test.yaml").write_text(TESTS)
    assert run_unit_test_file(tmp_path / "test.yaml", read_expression, MemoryGround) == []


@pytest.mark.needs_debian("prometheus")
def test_promtool_reads_them(tmp_path: Path) -> None:
    """The written rules are valid rules of Prometheus."""
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(written_groups(burn_rule_groups(OBJECTIVE, 0.4))))
    found = subprocess.run(["promtool", "check", "rules", "--lint=none", str(path)], capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode()
