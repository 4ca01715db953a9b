"""Every number has bounds, and the defaults lie within them."""

import json

import pytest

from nissa.config.check import AT_MOST, BOUNDS, check_config, leaves
from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid


def test_every_number_of_the_tree_has_bounds_and_nothing_else_has() -> None:
    """A setting cannot be added without saying what would be absurd."""
    numbers = {
        path
        for path, value in leaves(Config()).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert set(BOUNDS) == numbers
    assert {path for smaller, greater, _ in AT_MOST for path in (smaller, greater)} <= numbers


@pytest.mark.parametrize("path", sorted(BOUNDS))
def test_one_past_each_bound_is_refused(path: str) -> None:
    """Both ends of every range hold, and the message names the path."""
    least, greatest = BOUNDS[path]
    for value in (least - 1, greatest + 1):
        with pytest.raises(ConfigInvalid) as caught:
            load_config(overrides={path: str(value)})
        assert caught.value.path == path


@pytest.mark.parametrize("match", ["{", "{}", 'up{job=~"("}', "rate(up[5m])"])
def test_a_policy_for_no_selector_is_refused(match: str) -> None:
    """With the path of its matcher; the rest of policies is checked in the model."""
    text = json.dumps([{"match": "up"}, {"match": match, "retention_ms": {"1m": "86400000"}}])
    with pytest.raises(ConfigInvalid) as refusal:
        load_config(overrides={"ladder.policies": text})
    assert refusal.value.path == "ladder.policies[1].match"


def test_a_policy_is_read_from_the_command_line() -> None:
    """As a list on one line, numbers as text."""
    text = '[{"match": "{job=\\"x\\"}", "retention_ms": {"1m": "86400000"}}]'
    (policy,) = load_config(overrides={"ladder.policies": text}).ladder.policies
    assert (policy.match, policy.retention_ms) == ('{job="x"}', {"1m": 86_400_000})


def test_defaults_pass() -> None:
    """The tree as shipped starts."""
    check_config(Config())
