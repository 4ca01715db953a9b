"""Inhibition between alerts."""

import pytest

from nissa.alerting.inhibition import Inhibition, compile_inhibit_rules
from nissa.config.alertmanager_file import InhibitRuleConfig
from nissa.model.alert import Alert, AlertState, label_fingerprint
from nissa.model.errors import ConfigInvalid


def alert(**labels: str) -> Alert:
    return Alert(labels, {}, 1, 0, 1, "", 1.0, AlertState.FIRING, label_fingerprint(labels), "api")


def rule(source: str, target: str, *equal: str) -> InhibitRuleConfig:
    return InhibitRuleConfig(source_matchers=(source,), target_matchers=(target,), equal=equal)


def fail(place: str, what: str) -> ConfigInvalid:
    return ConfigInvalid(place, what)


def always(_: Alert) -> bool:
    return True


def test_a_source_mutes_targets_with_the_same_labels() -> None:
    """While it fires; a label that both lack is the same; forgotten, it mutes nothing."""
    found = Inhibition(compile_inhibit_rules([rule("severity=critical", "severity=warning", "cluster", "zone")], fail))
    source = alert(severity="critical", cluster="east")
    found.put(source)
    assert found.inhibited_by({"severity": "warning", "cluster": "east"}, always) == source.fingerprint
    assert not found.inhibited_by({"severity": "warning", "cluster": "west"}, always)
    assert not found.inhibited_by({"severity": "info", "cluster": "east"}, always)
    assert not found.inhibited_by({"severity": "warning", "cluster": "east"}, lambda _: False)
    found.forget(source)
    assert not found.inhibited_by({"severity": "warning", "cluster": "east"}, always)


def test_an_alert_on_both_sides_does_not_mute_another() -> None:
    """Such an alert does not mute itself either: otherwise neither would be notified."""
    found = Inhibition(compile_inhibit_rules([rule('severity=~"critical|warning"', "team=a")], fail))
    both = alert(severity="critical", team="a")
    found.put(both)
    assert not found.inhibited_by(both.labels, always)
    assert found.inhibited_by({"team": "a"}, always) == both.fingerprint


def test_a_circle_of_rules_is_refused() -> None:
    """The message names the rules; a chain is none."""
    chain = [rule("s=1", "s=2"), rule("s=2", "s=3")]
    assert len(compile_inhibit_rules(chain, fail)) == 2
    with pytest.raises(ConfigInvalid, match=r"^inhibit_rules\[0\]: a circle: .*\[0\], .*\[1\], .*\[2\] mute"):
        compile_inhibit_rules([*chain, rule("s=3", "s=1")], fail)


def test_a_circle_of_alternatives_is_refused() -> None:
    """Patterns that are lists of values count by the values they share; without one there is no circle."""
    with pytest.raises(ConfigInvalid, match=r"a circle: inhibit_rules\[\d\], inhibit_rules\[\d\] mute"):
        compile_inhibit_rules([rule("s=~critical|page", "s=~warning|info"), rule("s=~info|low", "s=~page")], fail)
    allowed = [rule("s=~critical|page", "s=~warning|info"), rule("s=~warning", "s=~info|low"), rule("n=down", "j=node")]
    assert len(compile_inhibit_rules(allowed, fail)) == 3
