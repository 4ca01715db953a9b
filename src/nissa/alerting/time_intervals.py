"""Time intervals of Alertmanager's configuration: minutes of a day, weekdays, days of a month, months, years.

An interval holds where every field that is given holds, in its own time zone (UTC by default). Days of a month may be
counted from its end: -1 is the last day.
"""

import calendar
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

DAY_MINUTES: Final = 24 * 60
WEEKDAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS: Final = tuple(name.lower() for name in calendar.month_name[1:])

Range = tuple[int, int]  # both ends are inside


class TimeOfDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From start_time, included, to end_time, excluded: ``HH:MM``."""

    start_time: str = ""
    end_time: str = ""


class WrittenInterval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One interval as it is written in the configuration."""

    times: tuple[TimeOfDay, ...] = ()
    weekdays: tuple[str, ...] = ()
    days_of_month: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    years: tuple[str, ...] = ()
    location: str = ""


class TimeInterval(msgspec.Struct, frozen=True):
    """One interval. An empty field holds always. minutes: half-open; the other ranges include both ends."""

    minutes: tuple[Range, ...]
    weekdays: tuple[Range, ...]
    days_of_month: tuple[Range, ...]
    months: tuple[Range, ...]
    years: tuple[Range, ...]
    zone: str

    def holds(self, now_ms: int) -> bool:
        """True if the interval contains ``now_ms``, Unix milliseconds."""
        zone = ZoneInfo(self.zone) if self.zone else UTC
        now = datetime.fromtimestamp(now_ms / 1000, zone)
        minute = now.hour * 60 + now.minute
        return (
            (not self.minutes or any(start <= minute < end for start, end in self.minutes))
            and _within(self.weekdays, now.isoweekday() % 7)
            and (not self.days_of_month or any(_day_within(one, now) for one in self.days_of_month))
            and _within(self.months, now.month)
            and _within(self.years, now.year)
        )


def _within(ranges: tuple[Range, ...], value: int) -> bool:
    return not ranges or any(start <= value <= end for start, end in ranges)


def _day_within(days: Range, now: datetime) -> bool:
    length = calendar.monthrange(now.year, now.month)[1]
    start, end = (length + one + 1 if one < 0 else min(one, length + 1) for one in days)
    return max(start, 1) <= now.day <= end


def read_interval(written: WrittenInterval) -> TimeInterval:
    """The interval behind what is written. Raises: ValueError, saying which field is at fault."""
    if written.location:
        try:
            ZoneInfo("" if written.location == "Local" else written.location)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"location: no time zone {written.location[:80]!r} is known") from None
    return TimeInterval(
        tuple(_minutes(one) for one in written.times),
        tuple(_range(one, "weekdays", WEEKDAYS, (0, 6), 0) for one in written.weekdays),
        tuple(_days(one) for one in written.days_of_month),
        tuple(_range(one, "months", MONTHS, (1, 12), 1) for one in written.months),
        tuple(_range(one, "years", (), (1, 9999), 0) for one in written.years),
        written.location,
    )


def _minutes(time: TimeOfDay) -> Range:
    start, end = _minute(time.start_time, "start_time"), _minute(time.end_time, "end_time")
    if start >= end:
        raise ValueError(f"times: start_time {time.start_time} is not before end_time {time.end_time}")
    return start, end


def _minute(text: str, field: str) -> int:
    hour, colon, minute = text.partition(":")
    if colon and len(hour) == len(minute) == 2 and (hour + minute).isascii() and (hour + minute).isdigit():
        found = int(hour) * 60 + int(minute)
        if int(minute) < 60 and found <= DAY_MINUTES:
            return found
    raise ValueError(f"times: {field} {text[:40]!r} is no time of a day; expected 00:00 to 24:00")


def _days(text: str) -> Range:
    start, end = _range(text, "days_of_month", (), (-31, 31), 0)
    if start == 0 or end == 0:
        raise ValueError(f"days_of_month: {text!r}: 0 is no day; expected 1 to 31, or -31 to -1 from the end")
    if start < 0 < end:
        raise ValueError(f"days_of_month: {text!r}: the end must be negative where the start is")
    return start, end


def _range(text: str, field: str, words: tuple[str, ...], bounds: Range, first: int) -> Range:
    start_text, colon, end_text = text.lower().partition(":")
    start = _number(start_text, field, words, first)
    end = _number(end_text, field, words, first) if colon else start
    if not (bounds[0] <= start <= bounds[1] and bounds[0] <= end <= bounds[1]):
        raise ValueError(f"{field}: {text[:40]!r} is out of range; expected {bounds[0]} to {bounds[1]}")
    if start > end and (start < 0) == (end < 0):
        raise ValueError(f"{field}: {text[:40]!r}: the start is after the end")
    return start, end


def _number(text: str, field: str, words: tuple[str, ...], first: int) -> int:
    if text in words:
        return words.index(text) + first
    if field != "weekdays" and text.removeprefix("-").isdigit() and text.isascii() and len(text) <= 5:
        return int(text)
    raise ValueError(f"{field}: {text[:40]!r} is none of {', '.join(words) or 'the whole numbers'}")
