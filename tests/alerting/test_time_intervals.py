"""Time intervals against the calendar."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from nissa.alerting.time_intervals import TimeOfDay, WrittenInterval, read_interval


def holds(written: WrittenInterval, *moment: int, zone: str = "UTC") -> bool:
    """If the interval holds at a moment in a time zone."""
    return read_interval(written).holds(int(datetime(*moment, tzinfo=ZoneInfo(zone)).timestamp() * 1000))  # type: ignore[misc, arg-type]


def test_every_field_must_hold() -> None:
    """Times are half-open; ranges of the other fields include their ends."""
    written = WrittenInterval(
        (TimeOfDay("09:00", "17:30"),), ("monday:friday",), ("1:7", "-3:-1"), ("march", "6:8"), ("2026",)
    )
    assert holds(written, 2026, 3, 2, 9, 0)
    assert not holds(written, 2026, 3, 2, 8, 59)
    assert holds(written, 2026, 3, 2, 17, 29)
    assert not holds(written, 2026, 3, 2, 17, 30)
    assert not holds(written, 2026, 3, 1, 9, 0)  # a Sunday
    assert holds(written, 2026, 3, 31, 9, 0)
    assert not holds(written, 2026, 3, 27, 9, 0)
    assert not holds(written, 2026, 4, 1, 9, 0)
    assert not holds(written, 2027, 3, 2, 9, 0)


def test_a_time_zone_moves_the_day() -> None:
    """An interval is in its location's time, daylight saving included; UTC without one."""
    written = WrittenInterval((TimeOfDay("00:00", "01:00"),), location="Europe/Berlin")
    assert holds(written, 2026, 1, 1, 23, 30)
    assert holds(written, 2026, 7, 1, 22, 30)
    assert not holds(written, 2026, 7, 1, 23, 30)
    assert holds(WrittenInterval(), 2026, 1, 1)


def test_days_count_from_the_end_of_the_month() -> None:
    """A range from before the month begins there; February has fewer days."""
    assert holds(WrittenInterval(days_of_month=("-1",)), 2028, 2, 29)
    assert not holds(WrittenInterval(days_of_month=("-1",)), 2026, 2, 27)
    assert holds(WrittenInterval(days_of_month=("-31:-28",)), 2026, 2, 1)
    assert not holds(WrittenInterval(days_of_month=("29:31",)), 2026, 2, 28)
    assert holds(WrittenInterval(days_of_month=("15:-1",)), 2026, 2, 28)


@pytest.mark.parametrize(
    ("written", "field"),
    [
        (WrittenInterval((TimeOfDay("9:00", "17:00"),)), "times"),
        (WrittenInterval((TimeOfDay("17:00", "09:00"),)), "times"),
        (WrittenInterval((TimeOfDay("17:00", "24:01"),)), "times"),
        (WrittenInterval(weekdays=("someday",)), "weekdays"),
        (WrittenInterval(weekdays=("friday:monday",)), "weekdays"),
        (WrittenInterval(days_of_month=("0",)), "days_of_month"),
        (WrittenInterval(days_of_month=("-1:1",)), "days_of_month"),
        (WrittenInterval(months=("13",)), "months"),
        (WrittenInterval(years=("soon",)), "years"),
        (WrittenInterval(location="Atlantis"), "location"),
    ],
)
def test_what_is_no_interval_is_refused(written: WrittenInterval, field: str) -> None:
    """The message names the field."""
    with pytest.raises(ValueError, match=field):
        read_interval(written)
