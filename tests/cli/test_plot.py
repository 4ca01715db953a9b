"""Lines drawn in the terminal."""

from itertools import pairwise

from nissa.cli.plot import HEIGHT, SERIES_MAX, plot


def test_a_rising_line_rises() -> None:
    """The lowest value is in the lowest row at the left, the highest in the first row at the right."""
    rows = plot([("x", [float(at) for at in range(100)])], [0, 99_000], 72).plain.splitlines()
    dots = [[at for at, letter in enumerate(row[13:]) if ord(letter) > 0x2800] for row in rows[:HEIGHT]]
    assert dots[0][-1] == 58
    assert dots[HEIGHT - 1][0] == 0
    assert all(above[0] >= below[0] for above, below in pairwise(dots))
    assert "1970-01-01 00:00:00Z" in rows[HEIGHT]
    assert rows[HEIGHT + 1] == "  ● x  99"


def test_gaps_and_many_series() -> None:
    """Missing and non-finite values are not drawn; series beyond the colours are counted."""
    lines = [(str(number), [None, float("nan"), 1.0, None]) for number in range(SERIES_MAX + 2)]
    rows = plot(lines, [0, 1, 2, 3], 40).plain
    assert sum(ord(letter) > 0x2800 for letter in rows if ord(letter) < 0x2900) == 1
    assert "and 2 more series" in rows


def test_neighbours_are_joined_and_gaps_are_not() -> None:
    """A line between two moments, however far apart they are drawn; nothing where a moment between has no value."""
    joined, gap = ([0.0, 10.0, 0.0], [0.0, None, 0.0])
    rows = plot([("x", joined)], [0, 1, 2], 73).plain.splitlines()[:HEIGHT]
    assert all(any(ord(letter) > 0x2800 for letter in row[13:]) for row in rows)
    dots = [letter for row in plot([("x", gap)], [0, 1, 2], 73).plain.splitlines()[:HEIGHT] for letter in row[13:]]
    assert sum(ord(letter) > 0x2800 for letter in dots) == 2


def test_long_names_fit_the_width() -> None:
    """Long names are cut in the middle; values have six digits."""
    name = "memory_used_bytes" + "x" * 200 + 'unit="7"}'
    *_, legend = plot([(name, [1 / 3])], [0], 60).plain.splitlines()
    assert len(legend) == 60
    assert legend.startswith("  ● memory_used_bytesx")
    assert legend.endswith('xunit="7"}  0.333333')
