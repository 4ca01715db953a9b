"""Relabelling: each action as Prometheus' documentation and its own tests have it."""

import pytest

from nissa.model.relabel import Relabelling, RelabelRule


def relabelled(labels: dict[str, str], *rules: RelabelRule) -> dict[str, str] | None:
    """A copy of ``labels`` as rules leave it."""
    return Relabelling(rules).applied(dict(labels))


BEFORE = {"a": "foo", "b": "bar", "c": "baz"}


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (
            RelabelRule(source_labels=("a",), regex="f(.*)", target_label="d", replacement="ch${1}-ch${1}"),
            {"d": "choo-choo"},
        ),
        (RelabelRule(source_labels=("a", "b"), regex="f(.*);(.*)r", target_label="a", replacement="b$2"), {"a": "bba"}),
        (RelabelRule(source_labels=("a",), regex="no-match", target_label="a", replacement="x"), {}),
        (RelabelRule(source_labels=("a",), regex="f", target_label="a", replacement="x"), {}),
        (RelabelRule(source_labels=("a",), regex="foo", target_label="a", replacement=""), {"a": None}),
        (RelabelRule(target_label="d", replacement="static"), {"d": "static"}),
        (RelabelRule(target_label="a", replacement=""), {"a": None}),
        (RelabelRule(source_labels=("x",), target_label="d", replacement="static"), {"d": "static"}),
        (RelabelRule(source_labels=("x",), target_label="a"), {"a": None}),
        (
            RelabelRule(source_labels=("a",), regex="some-([^-]+)-([^,]+)", target_label="${1}", replacement="${2}"),
            {},
        ),
        (RelabelRule(source_labels=("a",), regex="(f)(.*)", target_label="${1}_x", replacement="$2"), {"f_x": "oo"}),
        (RelabelRule(source_labels=("a", "b"), separator="", target_label="d"), {"d": "foobar"}),
        (RelabelRule(source_labels=("c",), target_label="d", action="hashmod", modulus=1000), {"d": "976"}),
        (RelabelRule(source_labels=("a",), target_label="d", action="uppercase"), {"d": "FOO"}),
        (RelabelRule(source_labels=("a",), target_label="a", action="lowercase"), {}),
        (RelabelRule(regex="(b|c)", replacement="x_${1}", action="labelmap"), {"x_b": "bar", "x_c": "baz"}),
        (RelabelRule(regex="(b.*)", action="labeldrop"), {"b": None}),
        (RelabelRule(regex="(b.*)", action="labelkeep"), {"a": None, "c": None}),
        (RelabelRule(source_labels=("a",), regex="f.o", action="keep"), {}),
        (RelabelRule(source_labels=("a",), regex="f", action="drop"), {}),
        (RelabelRule(source_labels=("a",), target_label="a", action="keepequal"), {}),
        (RelabelRule(source_labels=("a",), target_label="b", action="dropequal"), {}),
    ],
)
def test_actions(rule: RelabelRule, changes: dict[str, str | None]) -> None:
    """A rule changes these labels and no others; one with an empty value goes."""
    wanted = {name: value for name, value in {**BEFORE, **changes}.items() if value is not None}
    assert relabelled(BEFORE, rule) == wanted


@pytest.mark.parametrize(
    "rule",
    [
        RelabelRule(source_labels=("a",), regex="f.*", action="drop"),
        RelabelRule(source_labels=("a",), regex="f", action="keep"),
        RelabelRule(source_labels=("a",), target_label="b", action="keepequal"),
        RelabelRule(source_labels=("a",), target_label="a", action="dropequal"),
    ],
)
def test_dropped(rule: RelabelRule) -> None:
    """A label set that a rule drops meets no further rule."""
    assert relabelled(BEFORE, rule, RelabelRule(target_label="d", replacement="x")) is None


def test_rules_follow_each_other() -> None:
    """Each rule sees what those before it have made, and a dot stands for a line feed too."""
    first = RelabelRule(source_labels=("a",), target_label="d", replacement="$1\n!")
    second = RelabelRule(source_labels=("d",), regex="foo.!", target_label="e", replacement="seen")
    assert relabelled({"a": "foo"}, first, second) == {"a": "foo", "d": "foo\n!", "e": "seen"}
    assert not Relabelling(())
    assert Relabelling((first,))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (RelabelRule(action="replace"), "rule 1: replace needs a target_label"),
        (RelabelRule(action="hashmod", target_label="a"), "rule 1: hashmod needs a modulus"),
        (RelabelRule(regex="(", target_label="a"), r"rule 1: regex '\(' cannot be read"),
    ],
)
def test_rules_that_cannot_be_applied(rule: RelabelRule, message: str) -> None:
    """Missing or invalid fields of a rule are errors when rules are compiled."""
    with pytest.raises(ValueError, match=message):
        Relabelling([rule])
