"""Times as the query API writes them: RFC 3339 or Unix seconds, to Unix milliseconds.

    1732190000            1732190000.123        2024-11-21T11:53:20Z        2024-11-21T12:53:20.123456789+01:00

Seconds are rounded to the nearest millisecond as in Prometheus; finer parts of RFC 3339 are cut off. The API's
intervals include both ends; everything inside of Nissa is half-open, so ``read_range`` gives ``[start_ms, end_ms)``.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from nissa.model.errors import BadQuery
from nissa.model.units import HOUR_MS, MINUTE_MS, SECOND_MS

TIME_MS_MIN = -(2**63)
TIME_MS_MAX = 2**63 - 1
_TEXT_LENGTH_MAX = 64

_SECONDS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,18}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_time(text: str, what: str = "time") -> int:
    """Unix milliseconds of one time. what: its parameter, for the message. Raises BadQuery."""
    cleaned = text.strip()
    if len(cleaned) <= _TEXT_LENGTH_MAX:
        if _SECONDS.fullmatch(cleaned):
            return _clamped(int((Decimal(cleaned) * SECOND_MS).to_integral_value(ROUND_HALF_EVEN)))
        if found := _RFC3339.fullmatch(cleaned):
            return _from_calendar(found, what)
    raise BadQuery(
        f"invalid parameter {what!r}: cannot parse {text[:_TEXT_LENGTH_MAX]!r} to a valid timestamp; "
        "expected RFC 3339 (2024-11-21T11:53:20Z) or Unix seconds"
    )


def read_range(start: str | float | datetime | None, end: str | float | datetime | None) -> tuple[int, int]:
    """The half-open interval in milliseconds between two inclusive times; None or empty is without bound."""
    start_ms, last_ms = _time_ms(start, TIME_MS_MIN, "start"), _time_ms(end, TIME_MS_MAX, "end")
    if last_ms < start_ms:
        raise BadQuery("invalid parameter 'end': end timestamp must not be before start time")
    return start_ms, min(last_ms + 1, TIME_MS_MAX)


def _time_ms(value: str | float | datetime | None, unbound: int, what: str) -> int:
    """One time as text, as Unix seconds or as an aware datetime."""
    if value is None or value == "":
        return unbound
    if not isinstance(value, datetime):
        return read_time(value if isinstance(value, str) else repr(value), what)
    if value.tzinfo is None:
        raise BadQuery(f"invalid parameter {what!r}: a datetime needs a time zone")
    return (value - _EPOCH) // timedelta(milliseconds=1)


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
