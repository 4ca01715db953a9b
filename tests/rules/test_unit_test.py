"""Unit tests of rules: the verdicts are those of promtool."""

import subprocess
from pathlib import Path

import pytest

from nissa.model.errors import ConfigInvalid
from nissa.promql.parse import read_expression
from nissa.rules.unit_test import run_unit_test_file
from nissa.service.rule_ground import MemoryGround

FILES = Path(__file__).parent / "files"


def failures_of(path: Path) -> list[str]:
    """Failures that ``nissa rules test`` finds."""
    return run_unit_test_file(path, read_expression, MemoryGround)


def test_expectations_are_met() -> None:
    """Templates, for, keep_firing_for, recording rules that later rules read, ALERTS, staleness."""
    assert failures_of(FILES / "training_test.yaml") == []


@pytest.mark.needs_debian("prometheus")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("eval_time: 3m, alertname: LatencyHigh", "eval_time: 2m59s, alertname: LatencyHigh"),
        ("a takes 23s 200", "a takes 24s 200"),
        ("eval_time: 10m, alertname: Kept", "eval_time: 9m, alertname: Kept"),
        ("value: 60", "value: 61"),
        ('{alertname="Gone"}\', eval_time: 8m', '{alertname="Gone"}\', eval_time: 5m'),
        ("0 1x3 0x1 1 0x6", "0 1x3 0x3 1 0x6"),
        ("evaluation_interval: 1m", "evaluation_interval: 30s"),
        ("1x3 _ stale 1x9", "1x14"),
        ("rule_files", "unknown: 1\nrule_files"),
        ("training.yaml", "missing.yaml"),
        ("10 20+1x8", "10 20++1x8"),
    ],
)
def test_verdicts_are_those_of_promtool(before: str, after: str, tmp_path: Path) -> None:
    """One change of a file of tests is found by both, or by none."""
    (tmp_path / "training.yaml").write_bytes((FILES / "training.yaml").read_bytes())
    text = (FILES / "training_test.yaml").read_text()
    assert before in text
    path = tmp_path / "changed_test.yaml"
    path.write_text(text.replace(before, after, 1))
    theirs = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, check=False)
    try:
        ours = not failures_of(path)
    except ConfigInvalid:
        ours = False
    assert ours == (theirs.returncode == 0), theirs.stderr.decode()
