"""Rule files that come with Nissa: their unit tests pass, and promtool agrees."""

import subprocess
from importlib.resources import as_file, files

import pytest

from nissa.promql.parse import read_expression
from nissa.rules.rule_file import parse_rule_file
from nissa.rules.unit_test import run_unit_test_file
from nissa.selfmetrics.catalogue import CATALOGUE
from nissa.service.rule_files import SHIPPED, shipped_names
from nissa.service.rule_ground import MemoryGround
from nissa.service.rule_queries import metric_names


@pytest.mark.parametrize("name", sorted({*shipped_names()} - {"events"}))
def test_unit_tests_of_shipped_rules_pass(name: str) -> None:
    """Every file has its tests."""
    with as_file(files(SHIPPED)) as folder:
        assert run_unit_test_file(folder / f"{name}_test.yaml", read_expression, MemoryGround) == []


@pytest.mark.needs_debian("prometheus")
@pytest.mark.parametrize("name", sorted({*shipped_names()} - {"nissa", "events"}))
def test_promtool_agrees(name: str) -> None:
    """The same tests pass with promtool; of nissa.yaml it does not know the names of tests."""
    with as_file(files(SHIPPED)) as folder:
        command = ["promtool", "test", "rules", str(folder / f"{name}_test.yaml")]
        found = subprocess.run(command, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode()


def test_rules_of_nissa_read_metrics_that_it_has() -> None:
    """No rule waits for a metric of another name."""
    text = (files(SHIPPED) / "nissa.yaml").read_bytes()
    known = {metric.name for metric in CATALOGUE}
    for group in parse_rule_file(text, "nissa.yaml", read_expression):
        for rule in group.rules:
            assert (metric_names(rule.expression) or set()) <= known, rule.name
