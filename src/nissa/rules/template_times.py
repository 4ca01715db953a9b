"""Times and durations of templates, as Go's package time has them: layouts, texts and methods.

    {{ .StartsAt.Format "2006-01-02 15:04:05 MST" }}   {{ (.EndsAt.Sub .StartsAt).Minutes }}   {{ .StartsAt.Unix }}

Times are exact to the microsecond, which is more than alerts have.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Final, Self
from zoneinfo import ZoneInfo

MICROSECOND: Final = 1_000  # nanoseconds
MILLISECOND: Final = 1_000 * MICROSECOND
SECOND: Final = 1_000 * MILLISECOND
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
STRING_LAYOUT: Final = "2006-01-02 15:04:05.999999999 -0700 MST"
LAYOUT_CHARS_MAX: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PIECE: Final = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|__2|_2(?!006)|002|0[1-6]|15|[1-5]|PM|pm"
    r"|[-Z]07:00:00|[-Z]070000|[-Z]07:00|[-Z]0700|[-Z]07|[.,](?:0+|9+)(?!\d)"
)
_ZONE_NAME: Final = re.compile(r"[A-Za-z0-9_+-]{1,40}(?:/[A-Za-z0-9_+-]{1,40}){0,3}")


class GoDuration(int):
    """Nanoseconds, which are printed as ``1h2m3.5s``."""

    METHODS: ClassVar[Mapping[str, Callable[..., Any]]]

    def go_text(self) -> str:
        """As Go prints it."""
        size = abs(int(self))
        sign = "-" if self < 0 else ""
        if size < SECOND:
            for unit, nanoseconds in (("ms", MILLISECOND), ("µs", MICROSECOND), ("ns", 1)):
                if size >= nanoseconds:
                    return f"{sign}{_decimal(size, nanoseconds)}{unit}"
            return "0s"
        hours, minutes = size // HOUR, size // MINUTE % 60
        parts = f"{hours}h" if hours else ""
        parts += f"{minutes}m" if hours or minutes else ""
        return f"{sign}{parts}{_decimal(size % MINUTE, SECOND)}s"


class GoName(int):
    """A number that is printed as a word: a month, a day of the week."""

    METHODS: ClassVar[Mapping[str, Callable[..., Any]]]

    def __new__(cls, number: int, word: str) -> Self:
        """number: as the comparisons see it. word: as it is printed."""
        made = super().__new__(cls, number)
        made.word = word
        return made

    word: str

    def go_text(self) -> str:
        """The word."""
        return self.word


class GoTime:
    """A time in a zone."""

    __slots__ = ("at",)
    METHODS: ClassVar[Mapping[str, Callable[..., Any]]]

    def __init__(self, at: datetime) -> None:
        """at: with its zone."""
        self.at = at

    def go_text(self) -> str:
        """As Go prints it."""
        return time_format(self.at, STRING_LAYOUT)


ZERO: Final = GoTime(datetime(1, 1, 1, tzinfo=UTC))


def moment_of(time_ms: int) -> GoTime:
    """A time of Unix milliseconds, in UTC."""
    return GoTime(_EPOCH + timedelta(milliseconds=time_ms))


def in_zone(name: str, moment: Any) -> GoTime:
    """The time in a zone such as ``Europe/Paris``. Raises: ValueError."""
    if name in ("", "UTC"):
        return GoTime(_time(moment).at.astimezone(UTC))
    if name == "Local":
        return _local(moment)
    try:
        zone = ZoneInfo(name) if _ZONE_NAME.fullmatch(name) else None
    except (KeyError, OSError, ValueError):
        zone = None
    if zone is None:
        raise ValueError(f"unknown time zone {str(name)[:80]}")
    return _moved(_time(moment).at, zone)


def time_format(at: datetime, layout: str) -> str:
    """A time in a layout of Go. Raises: ValueError."""
    if not isinstance(layout, str) or len(layout) > LAYOUT_CHARS_MAX:
        raise ValueError(f"a layout is a text of at most {LAYOUT_CHARS_MAX} characters")
    values = _values(at)
    return _PIECE.sub(lambda match: _piece(at, values, match), layout)


def _piece(at: datetime, values: Mapping[str, str], match: re.Match[str]) -> str:
    piece = match[0]
    if piece[0] in "-Z":
        return _offset(at, piece)
    return _fraction(at, piece) if piece[0] in ".," else values[piece]


def _values(at: datetime) -> Mapping[str, str]:
    """The pieces of a layout, but for offsets and fractions."""
    month, day = _MONTHS[at.month - 1], _DAYS[at.weekday()]
    hour, of_year = at.hour % 12 or 12, at.timetuple().tm_yday
    return {
        "MST": _zone_name(at),
        "January": month,
        "Jan": month[:3],
        "01": f"{at.month:02}",
        "1": str(at.month),
        "Monday": day,
        "Mon": day[:3],
        "02": f"{at.day:02}",
        "_2": f"{at.day:2}",
        "2": str(at.day),
        "__2": f"{of_year:3}",
        "002": f"{of_year:03}",
        "2006": f"{at.year:04}",
        "06": f"{at.year % 100:02}",
        "15": f"{at.hour:02}",
        "03": f"{hour:02}",
        "3": str(hour),
        "04": f"{at.minute:02}",
        "4": str(at.minute),
        "05": f"{at.second:02}",
        "5": str(at.second),
        "PM": "PM" if at.hour > 11 else "AM",
        "pm": "pm" if at.hour > 11 else "am",
    }


def _offset(at: datetime, piece: str) -> str:
    seconds = _offset_s(at)
    if piece[0] == "Z" and seconds == 0:
        return "Z"
    size = abs(seconds)
    sign = "-" if seconds < 0 else "+"
    parts = (f"{size // 3600:02}", f"{size // 60 % 60:02}", f"{size % 60:02}")
    count = 1 + (len(piece) > 3) + (len(piece) > 6)
    return sign + (":" if ":" in piece else "").join(parts[:count])


def _fraction(at: datetime, piece: str) -> str:
    digits = f"{at.microsecond:06}000"[: len(piece) - 1]
    if piece[1] == "9":
        digits = digits.rstrip("0")
        return piece[0] + digits if digits else ""
    return piece[0] + digits.ljust(len(piece) - 1, "0")


def _offset_s(at: datetime) -> int:
    offset = at.utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _zone_name(at: datetime) -> str:
    return at.tzname() or "UTC"


def _decimal(size: int, unit: int) -> str:
    """``size / unit`` without zeros at its end."""
    whole, rest = divmod(size, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


# ---- Methods --------------------


def _time(value: Any) -> GoTime:
    if not isinstance(value, GoTime):
        raise ValueError("expected a time")
    return value


def _whole(value: Any) -> int:
    """A number without a fraction, as Go's constants may be written: ``28800e9``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError("expected a duration: a number of nanoseconds")
    return int(value)


def _moved(at: datetime, zone: tzinfo | None) -> GoTime:
    try:
        return GoTime(at.astimezone(zone))
    except (OverflowError, ValueError):  # the zero time, in a zone that is behind
        return GoTime(at)


def _local(moment: Any) -> GoTime:
    return _moved(_time(moment).at, None)


def _add(moment: GoTime, nanoseconds: Any) -> GoTime:
    try:
        after = moment.at.astimezone(UTC) + timedelta(microseconds=_whole(nanoseconds) // MICROSECOND)
        return GoTime(after.astimezone(moment.at.tzinfo))
    except OverflowError:
        raise ValueError("the time is beyond the calendar") from None


def _add_date(moment: GoTime, years: int, months: int, days: int) -> GoTime:
    at = moment.at
    months = at.month - 1 + _whole(months) + 12 * _whole(years)
    try:
        first = at.replace(year=at.year + months // 12, month=months % 12 + 1, day=1)
        return GoTime(first + timedelta(days=at.day - 1 + _whole(days)))
    except (OverflowError, ValueError):
        raise ValueError("the time is beyond the calendar") from None


def _sub(moment: GoTime, other: Any) -> GoDuration:
    return GoDuration((moment.at - _time(other).at) // timedelta(microseconds=1) * MICROSECOND)


def _unix(moment: GoTime, unit: timedelta) -> int:
    return (moment.at - _EPOCH) // unit


def _cut(moment: GoTime, nanoseconds: Any, *, half: bool) -> GoTime:
    """The time at a multiple of this since the zero time. half: the nearest one, not the one before."""
    unit = _whole(nanoseconds) // MICROSECOND
    if unit <= 0:
        return moment
    rest = (moment.at - ZERO.at) // timedelta(microseconds=1) % unit
    change = unit - rest if half and rest * 2 >= unit else -rest
    return _add(moment, change * MICROSECOND)


def _truncated(duration: GoDuration, unit: Any) -> GoDuration:
    size = _whole(unit)
    return duration if size <= 0 else GoDuration(int(duration) - (abs(duration) % size) * (1 if duration >= 0 else -1))


def _rounded(duration: GoDuration, unit: Any) -> GoDuration:
    size = _whole(unit)
    if size <= 0:
        return duration
    found = (abs(int(duration)) * 2 + size) // (2 * size) * size
    return GoDuration(found if duration >= 0 else -found)


GoDuration.METHODS = {
    "Seconds": lambda one: int(one) / SECOND,
    "Minutes": lambda one: int(one) / MINUTE,
    "Hours": lambda one: int(one) / HOUR,
    "Milliseconds": lambda one: _toward_zero(one, MILLISECOND),
    "Microseconds": lambda one: _toward_zero(one, MICROSECOND),
    "Nanoseconds": int,
    "Abs": lambda one: GoDuration(abs(int(one))),
    "Round": _rounded,
    "Truncate": _truncated,
    "String": GoDuration.go_text,
}
GoName.METHODS = {"String": GoName.go_text}
GoTime.METHODS = {
    "Format": lambda one, layout: time_format(one.at, layout),
    "String": GoTime.go_text,
    "Add": _add,
    "AddDate": _add_date,
    "Sub": _sub,
    "Truncate": lambda one, unit: _cut(one, unit, half=False),
    "Round": lambda one, unit: _cut(one, unit, half=True),
    "UTC": lambda one: GoTime(one.at.astimezone(UTC)),
    "Local": _local,
    "Unix": lambda one: _unix(one, timedelta(seconds=1)),
    "UnixMilli": lambda one: _unix(one, timedelta(milliseconds=1)),
    "UnixMicro": lambda one: _unix(one, timedelta(microseconds=1)),
    "UnixNano": lambda one: _unix(one, timedelta(microseconds=1)) * MICROSECOND,
    "IsZero": lambda one: one.at == ZERO.at,
    "Before": lambda one, other: one.at < _time(other).at,
    "After": lambda one, other: one.at > _time(other).at,
    "Equal": lambda one, other: one.at == _time(other).at,
    "Year": lambda one: one.at.year,
    "Month": lambda one: GoName(one.at.month, _MONTHS[one.at.month - 1]),
    "Day": lambda one: one.at.day,
    "Weekday": lambda one: GoName(one.at.isoweekday() % 7, _DAYS[one.at.weekday()]),
    "YearDay": lambda one: one.at.timetuple().tm_yday,
    "Hour": lambda one: one.at.hour,
    "Minute": lambda one: one.at.minute,
    "Second": lambda one: one.at.second,
    "Nanosecond": lambda one: one.at.microsecond * MICROSECOND,
}


def _toward_zero(duration: int, unit: int) -> int:
    return abs(int(duration)) // unit * (1 if duration >= 0 else -1)
