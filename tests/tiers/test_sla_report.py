"""Windows and CSV over snapshots."""

import csv
import io

import pytest

from nissa.tiers.sla import SlaDefinition
from nissa.tiers.sla_report import days_csv, window_state


def day(total: float | None, bad: float | None, value: float | None, at: str = "2024-01-01") -> dict:
    """A snapshot as the store shows it."""
    names = ("definition_id", "reason", "hash")
    numbers = ("definition_version", "revision", "uptime_percent", "breach_count", "error_budget_burn", "created_ms")
    facts = {"day": at, "total_events": total, "error_events": bad, "value": value, "downtime_minutes": 2.0}
    return {**dict.fromkeys(names, "=x"), **dict.fromkeys(numbers), **facts}


def test_a_window_is_weighted_by_its_events() -> None:
    """Not the mean of days; a day without data counts for nothing."""
    one = SlaDefinition("up", "api", bad="b", total="t", target=99.0)
    state = window_state(one, [day(100, 10, 90.0), day(9900, 40, 99.6), day(None, None, None)])
    assert (state["value"], state["is_met"], state["worst_day"]) == (99.5, True, 90)
    assert (state["days"], state["days_with_data"], state["days_missed"]) == (3, 2, 1)
    assert state["error_budget_burned"] == pytest.approx(0.5)
    assert state["downtime_minutes"] == 6
    empty = window_state(one, [day(None, None, None)])
    assert (empty["value"], empty["is_met"], empty["error_budget_burned"]) == (None, None, None)


def test_percentiles_of_days_have_no_mean() -> None:
    """A window of latencies has its worst day; one of mean times their mean."""
    p99 = SlaDefinition("p", "api", "LATENCY_P99", 5.0, latency="x")
    assert window_state(p99, [day(1, None, 3.0), day(1, None, 7.0)])["value"] == 7
    mttr = SlaDefinition("m", "api", "MTTR", 5.0)
    assert window_state(mttr, [day(None, None, 3.0), day(None, None, 7.0)])["value"] == 5


def test_csv_has_no_formulas() -> None:
    """A text that a spreadsheet would evaluate is marked as text; what is not known is empty."""
    (row,) = csv.DictReader(io.StringIO(days_csv([day(None, 1.5, None)])))
    assert (row["total_events"], row["error_events"], row["reason"]) == ("", "1.5", "'=x")
    (row,) = csv.DictReader(io.StringIO(days_csv([{**day(None, 1.5, None), "reason": ""}])))
    assert row["reason"] == ""
