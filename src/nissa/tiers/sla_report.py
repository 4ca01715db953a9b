"""Reports over snapshots: the state of each window to date, and days as CSV. Pure."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from nissa.tiers.sla import RATIOS, SlaDefinition

COLUMNS: Final = (
    *("day", "definition_id", "definition_version", "revision", "total_events", "error_events", "value"),
    *("uptime_percent", "breach_count", "error_budget_burn", "downtime_minutes", "reason", "created_ms", "hash"),
)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def window_state(one: SlaDefinition, days: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A window under a definition. days: its snapshots. Sums count days with data alone; without any, all is None."""
    totals = [day["total_events"] for day in days if day["total_events"] is not None]
    errors = [day["error_events"] for day in days if day["error_events"] is not None]
    values = [day["value"] for day in days if day["value"] is not None]
    total, bad = sum(totals) if totals else None, sum(errors) if errors else None
    value = worst = max(values, default=None)
    burned = None
    if one.metric_type in RATIOS:
        worst = min(values, default=None) if one.metric_type != "ERROR_RATE" else worst
        value = None
        if total and bad is not None:
            share = bad / total
            value = 100 * (share if one.metric_type == "ERROR_RATE" else 1 - share)
            burned = share / one.allowed_ratio if one.allowed_ratio else None
    elif one.metric_type != "LATENCY_P99":
        value = sum(values) / len(values) if values else None
    return {
        "days": len(days),
        "days_with_data": len(values),
        "days_missed": sum(not one.is_met(day) for day in values),
        "total_events": total,
        "error_events": bad,
        "value": value,
        "worst_day": worst,
        "is_met": one.is_met(value) if value is not None else None,
        "error_budget_burned": burned,
        "downtime_minutes": sum(day["downtime_minutes"] for day in days),
    }


def days_csv(days: Iterable[Mapping[str, Any]]) -> str:
    """Snapshots as CSV, a row each; a number that is not known is empty. Texts cannot begin a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for day in days:
        writer.writerow([_cell(day[name]) for name in COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else value
