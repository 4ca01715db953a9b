"""Times as people write them in questions: RFC 3339, a date, Unix seconds, or relative to now, to Unix milliseconds.

    1732190000            1732190000.123        2024-11-21T11:53:20Z        2024-11-21T12:53:20.123456789+01:00
    2024-11-21            midnight, UTC         -292273086-05-16T16:47:06Z  the ends of time, as Prometheus writes them
    now                   now-1h                -1h30m                      an hour and a half ago

A number that is no second of this age, but a millisecond, microsecond or nanosecond of this century, is refused with
the unit it looks like: taken for seconds it would mean a year in which there is no data, and give an empty answer.

The API, the commands and ``nissa.open`` all parse times here; the current time is an argument (``now_ms``).

Seconds are rounded to the nearest millisecond as in Prometheus; finer parts of RFC 3339 are cut off. The API's
intervals include both ends; everything inside of Nissa is half-open, so ``read_range`` gives ``[start_ms, end_ms)``.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import promql_parser

from nissa.model.errors import BadQuery
from nissa.model.selector import without_panic
from nissa.model.units import HOUR_MS, MINUTE_MS, SECOND_MS, YEAR_MS

TIME_MS_MIN = -(2**63)
TIME_MS_MAX = 2**63 - 1
DURATION_MS_MAX = 100 * YEAR_MS
_TEXT_LENGTH_MAX = 64

_SECONDS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,18}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_RELATIVE = re.compile(r"(?:now)?([+-])(\w*[a-z])|now", re.ASCII)
_DURATION = re.compile(r"(\d+(ms|[smhdwy]))+", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_FORMS = "RFC 3339 (2024-11-21T11:53:20Z), a date (2024-11-21), Unix seconds, or relative to now (now, -1h, now-1h30m)"
_ENDS_OF_TIME = {
    "-292273086-05-16T16:47:06Z": TIME_MS_MIN,
    "292277025-08-18T07:12:54.999999999Z": TIME_MS_MAX,
}
_CENTURY_S = (946_684_800, 4_102_444_800)  # 2000 to 2100
_UNITS = {1_000: "milliseconds", 1_000_000: "microseconds", 1_000_000_000: "nanoseconds"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_time(text: str, what: str, now_ms: int) -> int:
    """Parse a time and return Unix milliseconds.

    text: RFC 3339, a date, Unix seconds, or relative to now. what: name of the parameter, for the message. now_ms: Unix
    milliseconds. Raises: BadQuery.
    """
    cleaned = text.strip()
    if len(cleaned) <= _TEXT_LENGTH_MAX:
        if cleaned in _ENDS_OF_TIME:
            return _ENDS_OF_TIME[cleaned]
        if _DATE.fullmatch(cleaned):
            cleaned += "T00:00:00Z"
        if _SECONDS.fullmatch(cleaned):
            _check_unit(Decimal(cleaned), what)
            return _clamped(int((Decimal(cleaned) * SECOND_MS).to_integral_value(ROUND_HALF_EVEN)))
        if found := _RFC3339.fullmatch(cleaned):
            return _from_calendar(found, what)
        if found := _RELATIVE.fullmatch(cleaned):
            distance_ms = _units_ms(found[2], what) if found[2] else 0
            return _clamped(now_ms - distance_ms if found[1] == "-" else now_ms + distance_ms)
    given = text[:_TEXT_LENGTH_MAX]
    raise BadQuery(f"invalid parameter {what!r}: cannot parse {given!r} to a valid timestamp; expected {_FORMS}")


def read_range(
    start: str | float | datetime | None, end: str | float | datetime | None, now_ms: int
) -> tuple[int, int]:
    """Parse two times, both included, and return the half-open interval [start, end) in Unix milliseconds.

    start, end: a time in a form of ``read_time``, Unix seconds or a datetime; None or empty: unbounded. now_ms: Unix
    milliseconds. Raises: BadQuery.
    """
    start_ms = _time_ms(start, TIME_MS_MIN, "start", now_ms)
    last_ms = _time_ms(end, TIME_MS_MAX, "end", now_ms)
    if last_ms < start_ms:
        raise BadQuery("invalid parameter 'end': end timestamp must not be before start time")
    return start_ms, min(last_ms + 1, TIME_MS_MAX)


def read_start(start: str, since: str) -> str:
    """The start of a range, which may be given as its distance from now: since ``1h`` is ``-1h``. Raises BadQuery."""
    if not since:
        return start
    if start:
        raise BadQuery("invalid parameter 'since': give either start or since")
    _units_ms(since, "since")
    return f"-{since.strip()}"


def read_moment(value: str | float | datetime | None, what: str, now_ms: int) -> int:
    """Parse a time that is required and return Unix milliseconds.

    value: a time in a form of ``read_time``, Unix seconds or a datetime. what: name of the parameter, for the message.
    now_ms: Unix milliseconds. Raises: BadQuery.
    """
    if value is None or value == "":
        raise BadQuery(f"invalid parameter {what!r}: a time is required")
    return _time_ms(value, 0, what, now_ms)


def read_step(value: str | float) -> int:
    """Milliseconds of a step: seconds, or a duration such as ``1h30m``. Raises BadQuery."""
    return _duration_ms(value, "step")


def _duration_ms(value: str | float, parameter: str) -> int:
    if isinstance(value, str) and not _SECONDS.fullmatch(value.strip()):
        return _units_ms(value, parameter)
    try:
        step_ms = round(float(value) * SECOND_MS)
    except (OverflowError, ValueError):
        what = f"cannot parse {value!r} to a valid duration"
        raise BadQuery(f"invalid parameter {parameter!r}: {what}") from None
    return _clamped(step_ms)


def read_duration(text: str, what: str, default_ms: int) -> int:
    """Parse a duration above 0 and return milliseconds.

    text: seconds, or a duration such as ``5m``. what: name of the parameter, for the message. default_ms: returned for
    an empty text. Raises: BadQuery.
    """
    if not text:
        return default_ms
    duration_ms = _duration_ms(text, what)
    if not 0 < duration_ms <= DURATION_MS_MAX:
        raise BadQuery(f"invalid parameter {what!r}: {text[:_TEXT_LENGTH_MAX]!r} must be above 0 and at most 100 years")
    return duration_ms


def _units_ms(text: str, what: str) -> int:
    """Milliseconds of a duration with units. Raises BadQuery."""
    cleaned = text.strip()
    try:
        if not cleaned[-1:].isalpha():
            raise ValueError
        return without_panic(promql_parser.parse_duration, cleaned) // timedelta(milliseconds=1)
    except ValueError:
        given = f"cannot parse {text[:_TEXT_LENGTH_MAX]!r} to a valid duration"
        if _DURATION.fullmatch(cleaned):
            raise BadQuery(f"invalid parameter {what!r}: {given}: duration out of range") from None
        raise BadQuery(f"invalid parameter {what!r}: {given}; expected one such as 1h30m") from None


def _time_ms(value: str | float | datetime | None, unbound: int, what: str, now_ms: int) -> int:
    """One time as text, as Unix seconds or as an aware datetime."""
    if value is None or value == "":
        return unbound
    if not isinstance(value, datetime):
        return read_time(value if isinstance(value, str) else repr(value), what, now_ms)
    if value.tzinfo is None:
        raise BadQuery(f"invalid parameter {what!r}: a datetime needs a time zone")
    return (value - _EPOCH) // timedelta(milliseconds=1)


def _check_unit(seconds: Decimal, what: str) -> None:
    """Raise BadQuery for a number that looks like another unit than seconds."""
    for factor, unit in _UNITS.items():
        if _CENTURY_S[0] <= seconds / factor <= _CENTURY_S[1]:
            meant = f"{seconds / factor:f}"
            raise BadQuery(f"invalid parameter {what!r}: {seconds} looks like {unit}; times are in seconds: {meant}")


def _clamped(ms: int) -> int:
    """Times past what 64 bits hold mean the ends of time: no sample lies beyond."""
    return max(TIME_MS_MIN, min(ms, TIME_MS_MAX))


def _from_calendar(found: re.Match[str], what: str) -> int:
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, offset_hour, offset_minute = found.groups()[6:]
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise BadQuery(f"invalid parameter {what!r}: {found[0]!r} is not a date: {error}") from None
    offset_ms = 0
    if sign:
        if int(offset_hour) > 23 or int(offset_minute) > 59:
            raise BadQuery(f"invalid parameter {what!r}: {found[0]!r} has an offset out of range")
        offset_ms = (int(offset_hour) * HOUR_MS + int(offset_minute) * MINUTE_MS) * (1 if sign == "+" else -1)
    fraction_ms = int((fraction or "")[:3].ljust(3, "0"))
    return (moment - _EPOCH) // timedelta(milliseconds=1) + fraction_ms - offset_ms
