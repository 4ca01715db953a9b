"""Definitions, days and windows of agreements."""

import msgspec
import pytest

from nissa.model.errors import BadQuery
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.tiers.sla import (
    DayFacts,
    SlaDefinition,
    check_definition,
    day_of,
    day_start_ms,
    days_due,
    next_day,
    sla_day,
    version_of_day,
    window_start,
)

UPTIME = SlaDefinition("api-up", "api", bad='e{code=~"5.."}', total="e")
MONTH_MS = 30 * DAY_MS


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "a b"}, "id"),
        ({"metric_type": "SPEED"}, "metric_type"),
        ({"target": 101.0}, "target"),
        ({"target": float("nan")}, "target"),
        ({"time_window": "1h"}, "time_window"),
        ({"bad": ""}, "bad"),
        ({"latency": "x"}, "latency"),
        ({"metric_type": "MTTA"}, "bad"),
        ({"service": "x" * 201}, "service"),
    ],
)
def test_bad_definitions_name_their_field(changes: dict, field: str) -> None:
    """Each type has its own expressions."""
    with pytest.raises(BadQuery, match=field):
        check_definition(msgspec.structs.replace(UPTIME, **changes))


def test_expressions_are_read() -> None:
    """A text that is no selector and has no $window is refused."""
    with pytest.raises(BadQuery, match="selector"):
        check_definition(msgspec.structs.replace(UPTIME, bad="rate(x[5m])"))


def test_a_day_has_its_value_and_the_hours_that_missed_the_target() -> None:
    """1 % of errors in one hour of two with traffic burn a budget of 0.1 % five times."""
    totals = (1000.0, 1000.0, *(None,) * 22)
    bads = (10.0, None, *(None,) * 22)
    day = sla_day(UPTIME, "2024-02-29", DayFacts(totals, bads, downtime_minutes=5.0, incidents=(7,)))
    assert (day.total_events, day.error_events, day.value, day.uptime_percent) == (2000, 10, 99.5, 99.5)
    assert (day.breach_count, day.downtime_minutes, day.evidence["incidents"]) == (1, 5, [7])
    assert day.error_budget_burn == pytest.approx(5)
    rate = msgspec.structs.replace(UPTIME, metric_type="ERROR_RATE", target=1.0)
    day = sla_day(rate, "2024-02-29", DayFacts(totals, bads))
    assert (day.value, day.uptime_percent, day.breach_count) == (0.5, 99.5, 0)


def test_no_data_is_nothing() -> None:
    """Not 100 %, and no breach."""
    none = (None,) * 24
    for facts in (DayFacts(none, none), DayFacts((0.0,) * 24, (0.0,) * 24)):
        day = sla_day(UPTIME, "2024-01-01", facts)
        assert (day.value, day.uptime_percent, day.breach_count, day.error_budget_burn) == (None,) * 4


def test_latency_has_its_own_unit() -> None:
    """The day's percentile is given; hours above the target are breaches."""
    one = SlaDefinition("p", "api", "LATENCY_P99", 250.0, latency="x")
    day = sla_day(one, "2024-01-01", DayFacts((5.0,) * 24, (), (100.0, 300.0, *(None,) * 22), 260.0))
    assert (day.value, day.breach_count, day.total_events, day.error_events) == (260, 1, 120, None)


def test_days_are_utc_over_leap_days_and_new_year() -> None:
    """Half-open: the last millisecond of a day belongs to it."""
    assert [next_day(day) for day in ("2024-02-28", "2024-02-29", "2023-02-28", "2024-12-31")] == [
        "2024-02-29",
        "2024-03-01",
        "2023-03-01",
        "2025-01-01",
    ]
    for day in ("2024-02-29", "2024-12-31", "2024-03-31"):  # the last one is 23 hours long in much of Europe
        start_ms = day_start_ms(day)
        assert (day_of(start_ms), day_of(start_ms + DAY_MS - 1), day_of(start_ms + DAY_MS)) == (day, day, next_day(day))
    with pytest.raises(BadQuery, match="2024-02-30"):
        day_start_ms("2024-02-30")
    for text in ("20241121", "2024-W47-4", "0001-01-01", ""):
        with pytest.raises(BadQuery, match="invalid day"):
            day_start_ms(text)


@pytest.mark.parametrize(
    ("window", "first"),
    [("7d", "2024-02-23"), ("30d", "2024-01-31"), ("quarterly", "2024-01-01"), ("yearly", "2024-01-01")],
)
def test_windows_end_with_a_day(window: str, first: str) -> None:
    """Of so many days, or from the first of the quarter or year."""
    assert window_start(window, "2024-02-29") == first


def test_days_that_are_over_are_due_once() -> None:
    """From the first version on, the past bounded; none is due before it has ended."""
    begin_ms = day_start_ms("2024-02-27") + 5 * HOUR_MS
    versions = [msgspec.structs.replace(UPTIME, active_from_ms=begin_ms)]
    midnight_ms = day_start_ms("2024-03-01")
    assert days_due(versions, "", midnight_ms - 1, MONTH_MS) == ["2024-02-27", "2024-02-28"]
    assert days_due(versions, "", midnight_ms, MONTH_MS) == ["2024-02-27", "2024-02-28", "2024-02-29"]
    assert days_due(versions, "2024-02-28", midnight_ms, MONTH_MS) == ["2024-02-29"]
    assert days_due(versions, "2024-02-29", midnight_ms, MONTH_MS) == []
    assert days_due(versions, "", midnight_ms + 100 * DAY_MS, 2 * DAY_MS) == ["2024-06-07", "2024-06-08"]


def test_the_version_at_the_end_of_a_day_holds() -> None:
    """None after the last one has ended."""
    noon_ms = day_start_ms("2024-01-02") + 12 * HOUR_MS
    one = msgspec.structs.replace(UPTIME, active_from_ms=1, active_to_ms=noon_ms)
    two = msgspec.structs.replace(UPTIME, version=2, active_from_ms=noon_ms, active_to_ms=noon_ms + 2 * DAY_MS)
    found = [version_of_day([one, two], day) for day in ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")]
    assert [each and each.version for each in found] == [1, 2, 2, None]
