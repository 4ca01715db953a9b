"""Durations and sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.model.quantity import Unit, read_quantity, write_quantity
from nissa.model.units import DAY_MS, HOUR_MS, MIB, MINUTE_MS


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("30s", Unit.DURATION, 30_000),
        ("500ms", Unit.DURATION, 500),
        ("6h", Unit.DURATION, 6 * HOUR_MS),
        ("1h30m", Unit.DURATION, 90 * MINUTE_MS),
        ("1.5h", Unit.DURATION, 90 * MINUTE_MS),
        ("2w", Unit.DURATION, 14 * DAY_MS),
        ("1y", Unit.DURATION, 365 * DAY_MS),
        ("0", Unit.DURATION, 0),
        ("64MiB", Unit.SIZE, 64 * MIB),
        ("1.5MiB", Unit.SIZE, 3 * MIB // 2),
        ("10MB", Unit.SIZE, 10_000_000),
        ("65535B", Unit.SIZE, 65_535),
        ("65536", Unit.SIZE, 65_536),
        ("7", Unit.COUNT, 7),
    ],
)
def test_quantities_are_read(text: str, unit: Unit, value: int) -> None:
    """Units of common use, parts added up, and plain numbers for counts and sizes."""
    assert read_quantity(text, unit) == value


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("30", Unit.DURATION),
        ("30 s", Unit.DURATION),
        ("s", Unit.DURATION),
        ("", Unit.DURATION),
        ("5M", Unit.DURATION),
        ("-5s", Unit.DURATION),
        ("0.5ms", Unit.DURATION),
        ("64MiB", Unit.DURATION),
        ("30s", Unit.SIZE),
        ("64mib", Unit.SIZE),
        ("7s", Unit.COUNT),
        ("1" * 80 + "s", Unit.DURATION),
    ],
)
def test_what_is_no_quantity_is_refused(text: str, unit: Unit) -> None:
    """The message names the expected unit, with examples."""
    with pytest.raises(ValueError, match=f"expected {unit.value}"):
        read_quantity(text, unit)


@given(st.integers(0, 2**70), st.sampled_from(Unit))
def test_what_is_written_reads_back(value: int, unit: Unit) -> None:
    """Every number survives being written in its largest whole unit."""
    assert read_quantity(write_quantity(value, unit), unit) == value


def test_the_largest_whole_unit_is_written() -> None:
    """A quantity is written in its largest whole unit, as an operator would write it."""
    written = [write_quantity(value, Unit.DURATION) for value in (0, 1, 90_000, 120_000, 3 * HOUR_MS, 365 * DAY_MS)]
    assert written == ["0ms", "1ms", "90s", "2m", "3h", "365d"]
    assert [write_quantity(value, Unit.SIZE) for value in (0, 1_000, 64 * MIB)] == ["0B", "1000B", "64MiB"]
