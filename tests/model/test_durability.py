"""The names of the durability modes."""

import pytest

from nissa.model.durability import FSYNC, INTERVAL_MS_MAX, OS, Durability, parse_durability
from nissa.model.errors import ConfigInvalid


def test_each_mode_is_parsed_and_named_the_same() -> None:
    """fsync, os and interval:<ms> are read, and str gives them back."""
    for text, mode in (
        ("fsync", FSYNC),
        ("os", OS),
        ("interval:1", Durability("interval", 1)),
        (f"interval:{INTERVAL_MS_MAX}", Durability("interval", INTERVAL_MS_MAX)),
    ):
        assert parse_durability(text) == mode
        assert str(mode) == text


@pytest.mark.parametrize(("text", "interval_ms"), [("50ms", 50), ("1s", 1_000), ("1m", 60_000), ("50", 50)])
def test_an_interval_is_a_duration(text: str, interval_ms: int) -> None:
    """An interval has a unit, or is in milliseconds without one."""
    assert parse_durability(f"interval:{text}") == Durability("interval", interval_ms)


@pytest.mark.parametrize(
    "text",
    ["", "none", "FSYNC", "fsync ", "interval", "interval:", "interval:x", "interval:-5", "interval:1.5", "os:1"],
)
def test_another_word_is_refused_with_the_three_forms(text: str) -> None:
    """The message names the setting, the forms and the value."""
    with pytest.raises(ConfigInvalid, match=r"storage\.durability: expected fsync, .*interval:50ms, or os"):
        parse_durability(text)


@pytest.mark.parametrize("interval_ms", [0, INTERVAL_MS_MAX + 1, 999_999_999])
def test_an_absurd_interval_is_refused_with_its_bounds(interval_ms: int) -> None:
    """Zero and more than a minute are outside what the mode may lose."""
    with pytest.raises(ConfigInvalid, match=f"interval:{interval_ms} is outside 1ms to 1m"):
        parse_durability(f"interval:{interval_ms}")
