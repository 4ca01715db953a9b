"""Times of the query API."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from nissa.model.errors import BadQuery
from nissa.query.times import TIME_MS_MAX, TIME_MS_MIN, read_range, read_time


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("0", 0),
        ("4", 4_000),
        ("1732190000", 1_732_190_000_000),
        ("1732190000.123", 1_732_190_000_123),
        ("1732190000.1235", 1_732_190_000_124),
        ("1.7e9", 1_700_000_000_000),
        ("-1.5", -1_500),
        (".5", 500),
        ("2024-11-21T11:53:20Z", 1_732_190_000_000),
        ("2024-11-21t11:53:20.5z", 1_732_190_000_500),
        ("2024-11-21T12:53:20.123456789+01:00", 1_732_190_000_123),
        ("2024-11-21T06:23:20-05:30", 1_732_190_000_000),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1e300", TIME_MS_MAX),
        ("-1e300", TIME_MS_MIN),
        ("-9223372036854775.808", TIME_MS_MIN),
    ],
)
def test_times_are_read_to_the_millisecond(text, expected_ms):
    """RFC 3339 and Unix seconds become milliseconds; what 64 bits cannot hold is the end of time."""
    assert read_time(text) == expected_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "NaN",
        "Inf",
        "1_000",
        "0x10",
        "1e9999",
        "2024-11-21",
        "2024-11-21T11:53:20",
        "2024-13-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-11-21T24:00:00Z",
        "2024-11-21T11:53:20+25:00",
        "1732190000s",
        "٤",
        "9" * 100,
    ],
)
def test_what_is_no_time_is_refused(text):
    """Anything else names the parameter."""
    with pytest.raises(BadQuery, match="'start'"):
        read_time(text, "start")


def test_both_ends_are_inside():
    """The API's inclusive end becomes a half-open one, one millisecond later."""
    assert read_range("1", "2") == (1_000, 2_001)
    assert read_range("1", "1") == (1_000, 1_001)
    assert read_range(None, "") == (TIME_MS_MIN, TIME_MS_MAX)


def test_an_end_before_its_start_is_refused():
    """The interval must not be turned round."""
    with pytest.raises(BadQuery, match="end timestamp must not be before start"):
        read_range("2", "1")


def test_python_times():
    """Numbers and aware datetimes are taken; a datetime without zone is refused, as its moment is not known."""
    moment = datetime(2024, 11, 21, 11, 53, 20, 123_999, tzinfo=UTC)
    ninth = moment.astimezone(timezone(timedelta(hours=9)))
    assert read_range(1_732_189_999.5, ninth) == (1_732_189_999_500, 1_732_190_000_124)
    assert read_range(moment, None)[0] == 1_732_190_000_123
    with pytest.raises(BadQuery, match="time zone"):
        read_range(moment.replace(tzinfo=None), None)
