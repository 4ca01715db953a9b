"""Parameters as values; how they arrive over HTTP is shown by the routes' tests."""

import pytest

from nissa.mission.parameters import Parameters
from nissa.model.errors import BadQuery


def test_the_first_of_several_counts_but_all_are_there():
    """text gives the first value, texts all of them."""
    parameters = Parameters((("a", "1"), ("b", ""), ("a", "2")))
    assert parameters.text("a") == "1"
    assert parameters.texts("a") == ["1", "2"]
    assert parameters.text("c", "default") == "default"


@pytest.mark.parametrize("text", ["-1", "1.0", "1e3", "٣", "99999999999", "0x1", " 1"])
def test_counts_are_whole_numbers(text):
    """Anything but digits of a moderate number is refused, naming the parameter."""
    with pytest.raises(BadQuery, match="'limit'"):
        Parameters((("limit", text),)).count("limit")


def test_counts_default_where_nothing_is_written():
    """A missing or empty count is the default."""
    assert Parameters(()).count("limit", 5) == Parameters((("limit", ""),)).count("limit", 5) == 5
    assert Parameters((("limit", "0"),)).count("limit", 5) == 0


def test_selectors_may_be_needed():
    """Without match[] where it is needed the author is told; match without brackets counts too."""
    with pytest.raises(BadQuery, match="match"):
        Parameters(()).selectors(needed=True)
    assert Parameters(()).selectors(needed=False) == ()
    assert len(Parameters((("match[]", "up"), ("match", "down"))).selectors(needed=True)) == 2


def test_intervals_are_half_open():
    """Both ends are inside."""
    assert Parameters((("start", "1"), ("end", "2"))).interval_ms() == (1_000, 2_001)
