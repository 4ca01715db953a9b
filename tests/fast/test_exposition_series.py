"""Keys of series of an exposition body, and the lines of those that went away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa._fast.exposition_series import ExpositionSeries
from oracle import exposition

SERIES = ExpositionSeries(bytes(range(32)))
PIECES = (
    "up",
    '{a="x"}',
    '{a="}"}',
    "{}",
    " ",
    "1",
    "NaN",
    "x",
    " 5",
    " 5.5",
    "# TYPE up gauge",
    ' # {t="}"} 2',
    "# EOF",
)
BODIES = st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), max_size=6).map("\n".join)


def test_series_that_went_away() -> None:
    """Lines name the series of the body before that are not in the one after, with any value, once each."""
    before = b'# TYPE up gauge\nup{a="1"} 1\nup{a="2"} 2 \nup{a="3"}3\ngone 4\ntimed 5 1758000000123\n<html>\n'
    old, samples = SERIES.keys(before, openmetrics=False, own_times=True)
    assert (samples, len(old)) == (5, 4)
    new, _ = SERIES.keys(b'up{a="1"} 7\nup{a="4"} 1\n', openmetrics=False, own_times=True)
    gone = np.setdiff1d(old, new)
    assert SERIES.lines(before, False, True, gone) == b'up{a="2"} 0\nup{a="3"} 0\ngone 0\n'
    assert len(SERIES.keys(before, openmetrics=False, own_times=False)[0]) == 5
    assert SERIES.lines(before, False, False, np.empty(0, np.uint64)) == b""
    empty, none = SERIES.keys(b"", openmetrics=True, own_times=True)
    assert (len(empty), none) == (0, 0)


def test_secrets() -> None:
    """Keys are those of a secret, and a short one is refused."""
    other = ExpositionSeries(bytes(range(1, 33)))
    assert SERIES.keys(b"up 1", False, True)[0].tolist() != other.keys(b"up 1", False, True)[0].tolist()
    with pytest.raises(ValueError, match="32 bytes"):
        ExpositionSeries(b"short")


@given(BODIES, st.booleans())
def test_made_up_bodies(text: str, openmetrics: bool) -> None:
    """As many samples as the decoder takes or refuses for their labels, and every series of a body is found again."""
    body = text.encode()
    keys, samples = SERIES.keys(body, openmetrics, False)
    lines = SERIES.lines(body, openmetrics, False, keys)
    assert len(lines.splitlines()) == samples
    assert np.array_equal(SERIES.keys(lines, openmetrics, True)[0], keys)
    ended = body if openmetrics and b"# EOF" in body.split(b"\n") else body + b"\n# EOF"
    sound = exposition.expect(ended, openmetrics, 0, -(2**63), 2**63 - 1)
    assert samples >= len(sound.rows)
    assert np.array_equal(keys, np.sort(keys))
