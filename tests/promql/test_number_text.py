"""Numbers as text, as Go prints them, and the compiled writer beside Python's own shortest digits."""

import math
import random

import numpy as np
import pytest

from nissa._fast.number_text import TimeTexts, number_texts
from nissa.promql.number_text import full_text, label_text, plain_text, short_text


@pytest.mark.parametrize(
    ("value", "plain", "short", "label"),
    [
        (0.0, "0", "0", "0.0"),
        (-0.0, "-0", "-0", "0.0"),
        (1.0, "1", "1", "1.0"),
        (0.1, "0.1", "0.1", "0.1"),
        (1e6, "1000000", "1e+06", "1e+06"),
        (1e21, "1e+21", "1e+21", "1e+21"),
        (123456789.5, "123456789.5", "1.234567895e+08", "1.234567895e+08"),
        (1e-6, "0.000001", "1e-06", "1e-06"),
        (1.5e-7, "1.5e-07", "1.5e-07", "1.5e-07"),
        (5e-324, "5e-324", "5e-324", "5e-324"),
        (math.inf, "+Inf", "+Inf", "+Inf"),
        (-math.inf, "-Inf", "-Inf", "-Inf"),
        (math.nan, "NaN", "NaN", "NaN"),
    ],
)
def test_numbers_are_written_as_by_go(value: float, plain: str, short: str, label: str) -> None:
    """Values of answers, of warnings and of labels have the forms of Go's strconv."""
    assert plain_text(value) == plain
    assert short_text(value) == short
    assert label_text(value) == label


def test_the_writer_has_the_shortest_digits() -> None:
    """Random bit patterns, powers, integers and the edges of every form are written as ``repr`` would have them."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = np.random.default_rng(seed)
    bits = chance.integers(0, 2**64, 50_000, dtype=np.uint64, endpoint=False).view(np.float64)
    powers = np.concatenate([10.0 ** np.arange(-323, 309), 2.0 ** np.arange(-1074, 1024)])
    edges = np.array([5e-324, 1.7976931348623157e308, 0.0, -0.0, 1e-6, 9.999999999999999e-07, 1e21, 2.0**53, math.nan])
    near = np.nextafter(powers, np.inf)
    values = np.concatenate([bits, powers, -near, edges, chance.random(10_000), np.round(chance.random(10_000), 3)])
    wrong = [
        (value, text)
        for value, text in zip(values.tolist(), number_texts(values), strict=True)
        if text != plain_text(value)
    ]
    assert not wrong[:5]


def test_points_have_times_in_seconds() -> None:
    """Milliseconds are written where there are some, also before 1970; points that are not there are left out."""
    times = TimeTexts(np.array([1435781430781, 1435781430000, -1, -1500, 5]))
    points = times.points(np.array([0.1, 1, math.nan, 2e30, -0.0]), np.array([1, 1, 1, 0, 1], np.uint8))
    assert points == b'[[1435781430.781,"0.1"],[1435781430,"1"],[-0.001,"NaN"],[0.005,"-0"]]'
    assert times.points(np.zeros(5), np.zeros(5, np.uint8)) == b"[]"
    with pytest.raises(ValueError, match="5 times"):
        times.points(np.zeros(4), np.zeros(4, np.uint8))


def test_scalars_are_written_in_full() -> None:
    """Scalars have no exponent, however small or large."""
    texts = [full_text(value) for value in (1e21, 1e-7, -0.0, 2.5, math.inf, math.nan)]
    assert texts == ["1" + "0" * 21, "0.0000001", "-0", "2.5", "+Inf", "NaN"]
