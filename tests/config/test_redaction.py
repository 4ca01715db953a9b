"""The rules of redaction as settings."""

from pathlib import Path

import msgspec
import pytest

from nissa.config.load import load_config
from nissa.config.redaction import (
    KEY_RULES,
    PATTERN_RULES,
    Action,
    Redaction,
    RedactionRule,
    check_redaction,
    rules_in_force,
)
from nissa.model.errors import ConfigInvalid


def test_redaction_is_on_with_named_rules() -> None:
    """Redaction is on by default, and names of rules are unique, for replacements and counts."""
    assert Redaction().enabled
    names = [rule.name for rule in (*KEY_RULES, *PATTERN_RULES)]
    assert len(set(names)) == len(names)


def test_rules_are_read_from_a_document() -> None:
    """Rules are read as an operator writes them; unknown words and actions are refused."""
    read = msgspec.convert({"keys": [{"name": "seat", "pattern": "seat", "action": "hash"}]}, Redaction)
    assert read.keys == (RedactionRule("seat", "seat", Action.HASH),)
    assert rules_in_force(read).keys == (*read.keys, *KEY_RULES)
    assert rules_in_force(read).patterns == PATTERN_RULES
    for wrong in (
        {"keys": [{"name": "a", "pattern": "b", "action": "burn"}]},
        {"rules": []},
        {"keys": [{"name": "a"}]},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Redaction)


def test_rules_in_force_need_no_defaults() -> None:
    """Rules noted beside a journal mean the same in a version with other defaults."""
    own = Redaction(defaults=False, keys=(RedactionRule("a", "b"),))
    assert rules_in_force(own) == own
    assert rules_in_force(rules_in_force(Redaction())) == rules_in_force(Redaction())
    assert rules_in_force(Redaction(enabled=False)) == Redaction(enabled=False, defaults=False)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("keys: [{name: Seat 1, pattern: seat}]", "redaction.keys[0].name", "'Seat 1'"),
        ("keys: [{name: a, pattern: b}, {name: c, pattern: '('}]", "redaction.keys[1].pattern", "cannot be read"),
        ("patterns: [{name: a, pattern: 'b*'}]", "redaction.patterns[0].pattern", "matches the empty text"),
        ("patterns: [{name: a, pattern: '(?=b)'}]", "redaction.patterns[0].pattern", "cannot be read"),
        ("patterns: [{name: a, pattern: " + "x" * 5_000 + "}]", "redaction.patterns[0].pattern", "over the limit"),
        ("patterns: [{name: a, pattern: b, action: burn}]", "redaction.patterns[0].action", "burn"),
        ("patterns: [{name: a}]", "redaction.patterns[0]", "pattern"),
        ("keys: [" + "{name: a, pattern: b}, " * 101 + "]", "redaction.keys", "101 rules"),
        ("enabled: perhaps", "redaction.enabled", "perhaps"),
    ],
)
def test_bad_rules_refuse_to_start(tmp_path: Path, text: str, path: str, words: str) -> None:
    """The message begins with the path of the rule."""
    file = tmp_path / "nissa.yaml"
    file.write_text("redaction:\n  " + text)
    with pytest.raises(ConfigInvalid) as caught:
        load_config(file)
    assert caught.value.path == path
    assert words in str(caught.value)


def test_the_defaults_pass_their_own_check() -> None:
    """The defaults pass as if an operator had written them."""
    check_redaction(rules_in_force(Redaction()))
