"""The rules of redaction as settings."""

import msgspec
import pytest

from nissa.config.redaction import KEY_RULES, PATTERN_RULES, Action, Redaction, RedactionRule


def test_redaction_is_on_with_named_rules() -> None:
    """Nobody has to ask for it, and names are told apart in replacements and counts."""
    assert Redaction().enabled
    names = [rule.name for rule in (*KEY_RULES, *PATTERN_RULES)]
    assert len(set(names)) == len(names)


def test_rules_are_read_from_a_document() -> None:
    """As an operator writes them; unknown words and actions are refused."""
    read = msgspec.convert({"keys": [{"name": "seat", "pattern": "seat", "action": "hash"}]}, Redaction)
    assert read.keys == (RedactionRule("seat", "seat", Action.HASH),)
    assert read.patterns == PATTERN_RULES
    for wrong in (
        {"keys": [{"name": "a", "pattern": "b", "action": "burn"}]},
        {"rules": []},
        {"keys": [{"name": "a"}]},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Redaction)
