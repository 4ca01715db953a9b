"""Inhibition: alerts are muted while another one fires that explains them.

    source_matchers: [severity="critical"]  ──fires──►  mutes alerts of  target_matchers: [severity="warning"]
                                                        with the same values of the labels in  equal: [cluster]

An alert that both sides of a rule select does not mute another such alert, so none mutes itself. Rules that mute each
other in a circle would let nobody hear of anything. They are refused when they are read, where their matchers name
values (``s="a"``, ``s=~"a|b"``) or are the same ones; it is not worked out what other patterns have in common.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from nissa.alerting.matchers import Labels, MatcherSet, Test
from nissa.alerting.route_tree import written_matchers
from nissa.config.alertmanager_file import InhibitRuleConfig
from nissa.config.document import Fail
from nissa.model.alert import Alert
from nissa.model.matcher import Matcher
from nissa.model.predicate import literal_values

RULES_MAX: Final = 1_000


class InhibitRule(msgspec.Struct, frozen=True, eq=False):
    """One rule, compiled. equal: names of labels, in order."""

    source: MatcherSet
    target: MatcherSet
    takes_source: Test
    takes_target: Test
    equal: tuple[str, ...]

    def key(self, labels: Labels) -> tuple[str, ...]:
        """Values of the labels that must be the same on both sides; a missing label counts as empty."""
        return tuple(labels.get(name, "") for name in self.equal)


def compile_inhibit_rules(configs: Iterable[InhibitRuleConfig], fail: Fail) -> tuple[InhibitRule, ...]:
    """The rules behind what is written. Raises: what ``fail`` makes of a place and what is wrong there."""
    rules = []
    for number, one in enumerate(configs):
        place = f"inhibit_rules[{number}]"
        source = written_matchers(one.source_matchers, one.source_match, one.source_match_re, place, "source_", fail)
        target = written_matchers(one.target_matchers, one.target_match, one.target_match_re, place, "target_", fail)
        rules.append(InhibitRule(source, target, source.test(), target.test(), tuple(sorted(set(one.equal)))))
    if len(rules) > RULES_MAX:
        raise fail("inhibit_rules", f"{len(rules)} rules are over the limit of {RULES_MAX}")
    _refuse_circles(rules, fail)
    return tuple(rules)


def _refuse_circles(rules: list[InhibitRule], fail: Fail) -> None:
    """Refuse rules of which each mutes the sources of the next, and the last those of the first."""
    following = [
        [other for other, after in enumerate(rules) if other != number and _may_follow(rule.target, after.source)]
        for number, rule in enumerate(rules)
    ]
    done: set[int] = set()
    for start in range(len(rules)):
        path: list[int] = []
        stack = [(start, iter(following[start]))]
        if start in done:
            continue
        path.append(start)
        while stack:
            _, rest = stack[-1]
            step = next((one for one in rest if one not in done), None)
            if step is None:
                done.add(path.pop())
                stack.pop()
            elif step in path:
                circle = ", ".join(f"inhibit_rules[{one}]" for one in path[path.index(step) :])
                raise fail(f"inhibit_rules[{step}]", f"a circle: {circle} mute the sources of each other")
            else:
                path.append(step)
                stack.append((step, iter(following[step])))


def _may_follow(target: MatcherSet, source: MatcherSet) -> bool:
    """True if each matcher of ``source`` has one in ``target`` that is the same, or names a value that it names too."""
    return bool(source.matchers) and all(any(_meet(one, other) for other in target.matchers) for one in source.matchers)


def _meet(one: Matcher, other: Matcher) -> bool:
    if one == other:
        return True
    if one.name != other.name or one.op.negated or other.op.negated:
        return False
    values, others = literal_values(one), literal_values(other)
    return values is not None and others is not None and not set(values).isdisjoint(others)


class Inhibition:
    """Firing sources of all rules, found by the labels that must be equal. Belongs to one thread."""

    def __init__(self, rules: Iterable[InhibitRule]) -> None:
        self._rules = tuple(rules)
        self._sources: list[dict[tuple[str, ...], dict[str, Alert]]] = [{} for _ in self._rules]

    def put(self, alert: Alert) -> None:
        """Take an alert, or what it has become."""
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if rule.takes_source(alert.labels):
                sources.setdefault(rule.key(alert.labels), {})[alert.fingerprint] = alert

    def forget(self, alert: Alert) -> None:
        """Forget an alert."""
        for rule, sources in zip(self._rules, self._sources, strict=True):
            key = rule.key(alert.labels)
            found = sources.get(key)
            if found is not None and found.pop(alert.fingerprint, None) is not None and not found:
                del sources[key]

    def inhibited_by(self, labels: Labels, fires: Callable[[Alert], bool]) -> str:
        """Fingerprint of an alert that mutes one with these labels; empty where none does. fires: of a source."""
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if not rule.takes_target(labels):
                continue
            candidates = sources.get(rule.key(labels))
            if not candidates:
                continue
            on_both_sides = rule.takes_source(labels)
            for source in candidates.values():
                if fires(source) and not (on_both_sides and rule.takes_target(source.labels)):
                    return source.fingerprint
        return ""
