"""Numbers and times of rules as Prometheus' API writes them."""

import pytest

from nissa.api.rule_shapes import exponent_text, time_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1e+00"),
        (0.0, "0e+00"),
        (-12.5, "-1.25e+01"),
        (1e100, "1e+100"),
        (2.5e-7, "2.5e-07"),
        (float("inf"), "+Inf"),
    ],
)
def test_values_have_an_exponent(value: float, text: str) -> None:
    """The fewest digits, and at least two of the exponent."""
    assert exponent_text(value) == text
    assert exponent_text(float("nan")) == "NaN"


def test_never_is_the_year_one() -> None:
    """A time that never came is the year 1, as in Go."""
    assert (time_of(0), time_of(1_500)) == ("0001-01-01T00:00:00Z", "1970-01-01T00:00:01.500Z")
