"""Times of the query API."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from nissa.model.errors import BadQuery
from nissa.query.times import TIME_MS_MAX, TIME_MS_MIN, read_moment, read_range, read_start, read_time

NOW_MS = 1_732_190_000_000
HOUR_MS = 3_600_000


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
        ("now", NOW_MS),
        (" -1h ", NOW_MS - HOUR_MS),
        ("now-1h", NOW_MS - HOUR_MS),
        ("-1h30m", NOW_MS - HOUR_MS * 3 // 2),
        ("now+250ms", NOW_MS + 250),
        ("-1w2d", NOW_MS - 9 * 24 * HOUR_MS),
    ],
)
def test_times_are_read_to_the_millisecond(text, expected_ms):
    """All forms become milliseconds; what 64 bits cannot hold is the end of time."""
    assert read_time(text, "time", NOW_MS) == expected_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now1h",
        "now-",
        "now-5",
        "-1.5h",
        "-30m1h",
        "-1parsec",
        "-99999999999y",
        "1h",
        "NOW",
        "NaN",
        "Inf",
        "1_000",
        "0x10",
        "1e9999",
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
        read_time(text, "start", NOW_MS)


def test_both_ends_are_inside():
    """The API's inclusive end becomes a half-open one, one millisecond later."""
    assert read_range("1", "2", NOW_MS) == (1_000, 2_001)
    assert read_range("1", "1", NOW_MS) == (1_000, 1_001)
    assert read_range(None, "", NOW_MS) == (TIME_MS_MIN, TIME_MS_MAX)


def test_an_end_before_its_start_is_refused():
    """The interval must not be turned round."""
    with pytest.raises(BadQuery, match="end timestamp must not be before start"):
        read_range("2", "1", NOW_MS)


def test_python_times():
    """Numbers and aware datetimes are taken; a datetime without zone is refused, as its moment is not known."""
    moment = datetime(2024, 11, 21, 11, 53, 20, 123_999, tzinfo=UTC)
    ninth = moment.astimezone(timezone(timedelta(hours=9)))
    assert read_range(1_732_189_999.5, ninth, NOW_MS) == (1_732_189_999_500, 1_732_190_000_124)
    assert read_range(moment, None, NOW_MS)[0] == 1_732_190_000_123
    with pytest.raises(BadQuery, match="time zone"):
        read_range(moment.replace(tzinfo=None), None, NOW_MS)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1732190000123", "1732190000.123"),
        ("1732190000123456", "1732190000.123456"),
        ("1732190000000000000", "1732190000"),
    ],
)
def test_another_unit_is_named(text, meant):
    """Milliseconds, microseconds and nanoseconds of this century are refused, with the seconds they would be."""
    with pytest.raises(BadQuery, match=f"seconds; times are in seconds: {meant}$"):
        read_time(text, "time", NOW_MS)


def test_dates_and_the_ends_of_time():
    """A date is its midnight in UTC; Prometheus' least and greatest time mean no bound."""
    assert read_time("2024-11-21", "time", NOW_MS) == read_time("2024-11-21T00:00:00Z", "time", NOW_MS)
    ends = ("-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z")
    assert read_range(*ends, NOW_MS) == (TIME_MS_MIN, TIME_MS_MAX)
    with pytest.raises(BadQuery, match="not a date"):
        read_time("2024-02-30", "time", NOW_MS)


def test_since_is_a_start_so_long_before_now():
    """A distance becomes a relative start; with a start beside it, or as anything else, it is refused."""
    assert read_range(read_start("", "1h30m"), "now", NOW_MS) == (NOW_MS - HOUR_MS * 3 // 2, NOW_MS + 1)
    assert read_start("7", "") == "7"
    with pytest.raises(BadQuery, match="either start or since"):
        read_start("7", "1h")
    for text in ("yesterday", "2024-11-21", "-1h", "90"):
        with pytest.raises(BadQuery, match=r"'since'.*such as 1h30m"):
            read_start("", text)


def test_a_moment_must_be_given():
    """The error for a missing time names the parameter."""
    assert read_moment("now-1h", "time", NOW_MS) == NOW_MS - HOUR_MS
    with pytest.raises(BadQuery, match="'time'"):
        read_moment("", "time", NOW_MS)
