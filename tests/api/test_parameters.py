"""Parameters as values; how they arrive over HTTP is shown by the routes' tests."""

import pytest

from nissa.api.parameters import Parameters
from nissa.model.errors import BadQuery

NOW_MS = 1_732_190_000_000


def test_the_first_of_several_counts_but_all_are_there():
    """text gives the first value, texts all of them."""
    parameters = Parameters((("a", "1"), ("b", ""), ("a", "2")), NOW_MS)
    assert parameters.text("a") == "1"
    assert parameters.texts("a") == ["1", "2"]
    assert parameters.text("c", "default") == "default"


@pytest.mark.parametrize("text", ["-1", "1.0", "1e3", "٣", "99999999999", "0x1", " 1"])
def test_counts_are_whole_numbers(text):
    """Anything but digits of a moderate number is refused, naming the parameter."""
    with pytest.raises(BadQuery, match="'limit'"):
        Parameters((("limit", text),), NOW_MS).count("limit")


def test_counts_default_where_nothing_is_written():
    """A missing or empty count is the default."""
    assert Parameters((), NOW_MS).count("limit", 5) == Parameters((("limit", ""),), NOW_MS).count("limit", 5) == 5
    assert Parameters((("limit", "0"),), NOW_MS).count("limit", 5) == 0


def test_selectors_may_be_needed():
    """A missing match[] is refused where it is needed; match without brackets counts too."""
    with pytest.raises(BadQuery, match="match"):
        Parameters((), NOW_MS).selectors(needed=True)
    assert Parameters((), NOW_MS).selectors(needed=False) == ()
    assert len(Parameters((("match[]", "up"), ("match", "down")), NOW_MS).selectors(needed=True)) == 2


def test_intervals_are_half_open():
    """Both ends are inside; they may be relative to when the request came."""
    assert Parameters((("start", "1"), ("end", "2")), NOW_MS).interval_ms() == (1_000, 2_001)
    assert Parameters((("start", "-1h"), ("end", "now")), NOW_MS).interval_ms() == (NOW_MS - 3_600_000, NOW_MS + 1)
    assert Parameters((("since", "1h"),), NOW_MS).interval_ms()[0] == NOW_MS - 3_600_000
    assert Parameters((("time", "now-1s"),), NOW_MS).moment_ms("time") == NOW_MS - 1_000
    with pytest.raises(BadQuery, match="either start or since"):
        Parameters((("since", "1h"), ("start", "-2h")), NOW_MS).interval_ms()
