"""Rule files that the settings name: all or nothing."""

from pathlib import Path

import pytest

from nissa.config.alerting import Alerting
from nissa.config.rules import RuleSettings
from nissa.model.errors import ConfigInvalid
from nissa.service.rule_files import read_rule_groups, text_limits

TEXT = "groups: [{name: %s, rules: [{record: r, expr: x}]}]"


def test_patterns_are_sorted_and_faults_refuse_everything(tmp_path: Path) -> None:
    """Files come in order; a fault in one, a file named twice or too many rules refuse all of them."""
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text(TEXT % name)
    pattern = f"{tmp_path}/*.yaml"
    assert [group.name for group in read_rule_groups(RuleSettings(files=(pattern,)))] == ["a", "b"]
    with pytest.raises(ConfigInvalid, match="twice"):
        read_rule_groups(RuleSettings(files=(pattern, pattern)))
    with pytest.raises(ConfigInvalid, match="rules_max"):
        read_rule_groups(RuleSettings(files=(pattern,), rules_max=1))
    with pytest.raises(ConfigInvalid, match=r"rules\.shipped"):
        read_rule_groups(RuleSettings(shipped=("none",)))
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        read_rule_groups(RuleSettings(files=(f"{tmp_path}/none.yaml",)))
    (tmp_path / "c.yaml").write_text("groups: 5")
    with pytest.raises(ConfigInvalid, match=r"c\.yaml, line 1"):
        read_rule_groups(RuleSettings(files=(pattern,)))


def test_rules_have_the_limits_of_posted_alerts(tmp_path: Path) -> None:
    """Alerts of rules have the limits of the settings ``alerting``."""
    (tmp_path / "a.yaml").write_text("groups: [{name: g, rules: [{alert: A, expr: x, labels: {a: '1', b: '2'}}]}]")
    settings = RuleSettings(files=(f"{tmp_path}/a.yaml",))
    assert read_rule_groups(settings, text_limits(Alerting()))
    with pytest.raises(ConfigInvalid, match=r"alerting\.labels_max"):
        read_rule_groups(settings, text_limits(Alerting(labels_max=1)))
