"""Every number has bounds, and the defaults lie within them."""

import json

import pytest

from nissa.config.check import AT_MOST, check_config, leaves
from nissa.config.load import load_config
from nissa.config.names import quantities, written_path
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid


def test_every_number_of_the_tree_has_bounds_and_nothing_else_has() -> None:
    """A setting cannot be added without saying what would be absurd."""
    numbers = {
        path
        for path, value in leaves(Config()).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert set(quantities()) == numbers
    assert {path for smaller, greater, _ in AT_MOST for path in (smaller, greater)} <= numbers


@pytest.mark.parametrize("path", sorted(quantities()))
def test_one_past_each_bound_is_refused(path: str) -> None:
    """Both ends of every range hold, and the message names the path."""
    number = quantities()[path]
    for value in (number.least - 1, number.greatest + 1):
        with pytest.raises(ConfigInvalid) as caught:
            load_config(overrides={path: str(value)})
        assert caught.value.path == written_path(path)


@pytest.mark.parametrize("match", ["{", "{}", 'up{job=~"("}', "rate(up[5m])"])
def test_a_policy_for_no_selector_is_refused(match: str) -> None:
    """The refusal names the path of the matcher; the rest of policies is checked in the model."""
    text = json.dumps([{"match": "up"}, {"match": match, "retention": {"1m": "1d"}}])
    with pytest.raises(ConfigInvalid) as refusal:
        load_config(overrides={"ladder.policies": text})
    assert refusal.value.path == "ladder.policies[1].match"


def test_a_policy_is_read_from_the_command_line() -> None:
    """A policy on the command line is a list on one line, with numbers as text."""
    text = '[{"match": "{job=\\"x\\"}", "retention": {"1m": "1d"}}]'
    (policy,) = load_config(overrides={"ladder.policies": text}).ladder.policies
    assert (policy.match, policy.retention_ms) == ('{job="x"}', {"1m": 86_400_000})


def test_defaults_pass() -> None:
    """The tree as shipped starts."""
    check_config(Config())


def test_addresses_of_otlp() -> None:
    """Each address of a list is checked, and named by its place; one that is taken is refused."""
    with pytest.raises(ConfigInvalid, match=r"sources\.otlp\.listen\[1\]: expected HOST:PORT"):
        load_config(overrides={"sources.otlp.listen": '["127.0.0.1:4318", "x"]'})
    with pytest.raises(
        ConfigInvalid, match=r"sources\.otlp\.listen\[0\]: 127\.0\.0\.1:9470 is already taken by ingest"
    ):
        load_config(overrides={"sources.otlp.listen": '["127.0.0.1:9470"]'})


def test_addresses_of_lines() -> None:
    """Addresses of StatsD and Graphite are checked before the start too."""
    with pytest.raises(ConfigInvalid, match=r"sources\.statsd\.listen: expected HOST:PORT"):
        load_config(overrides={"sources.statsd.listen": "8125"})
    with pytest.raises(ConfigInvalid, match=r"sources\.graphite\.listen: 127\.0\.0\.1:9471 is already taken by api"):
        load_config(overrides={"sources.graphite.listen": "127.0.0.1:9471"})


def test_rates_are_checked() -> None:
    """A rule of a rate limit has a rate, and none below 0."""
    for rule, path in (
        ('{"tenant": "a", "samples_per_second": -5}', "safeguards.rate_limits.rules[0].samples_per_second"),
        ('{"tenant": "*"}', "safeguards.rate_limits.rules[0]"),
    ):
        with pytest.raises(ConfigInvalid) as refusal:
            load_config(overrides={"safeguards.rate_limits.rules": f"[{rule}]"})
        assert refusal.value.path == path
