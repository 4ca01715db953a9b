"""Reports as PDF, read back."""

import builtins
import io
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from nissa.database.database import Database
from nissa.model.errors import BadQuery
from nissa.model.units import DAY_MS
from nissa.tiers.sla import DayFacts, SlaDefinition, day_start_ms, sla_day
from nissa.tiers.sla_pdf import period_days, stored_report_pdf
from nissa.tiers.sla_store import NoDefinition, SlaStore

NOW_MS = day_start_ms("2024-12-05")
HOURS = 24


def filled(database: Database) -> SlaStore:
    """November of an agreement: the 3rd missed, the 5th without data, the 7th corrected."""
    store = SlaStore(database, 10)
    first_ms = day_start_ms("2024-11-01")
    wanted = SlaDefinition(
        "up", "shöp 店", "UPTIME", 99.0, "30d", "b", "t", description="Pay <b>here</b>\x07", changed_by="ada"
    )
    one, _ = store.put(wanted, first_ms)
    for number in range(1, 31):
        name = f"2024-11-{number:02}"
        totals = (None if number == 5 else 1000.0,) * HOURS
        bads = (50.0 if number == 3 else 1.0,) * HOURS
        facts = DayFacts(totals, bads, downtime_minutes=7.0 * (number == 3), incidents=(42,) if number == 3 else ())
        store.add_day(name, [sla_day(one, name, facts)], first_ms + number * DAY_MS)
    fixed = sla_day(one, "2024-11-07", DayFacts((2000.0,) * HOURS, (1.0,) * HOURS))
    store.revise(fixed, "late data of 店 " + "x" * 900, NOW_MS)
    return store


def texts(body: bytes) -> str:
    """The texts of all pages, each run of white space as one space."""
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(body)).pages).split())


def test_a_month_is_read_back(database: Database) -> None:
    """Totals, calendar, days that missed, revisions with reasons and the hash; the same bytes every time."""
    store = filled(database)
    body = stored_report_pdf(store, "up", "2024-11", NOW_MS)
    found = texts(body)
    totals = store.snapshots(["up"], "2024-11-01", "2024-11-30")
    assert "Service level report: up" in found
    assert "Service shöp \\u5e97, 2024-11-01 to 2024-11-30 (UTC)" in found
    assert "Pay <b>here</b>" in found
    assert "Days with data 29 of 30 snapshots" in found
    assert "Days missed 1" in found
    assert "Hours missed 24" in found
    assert f"Events {sum(day['total_events'] or 0 for day in totals):,.0f}" in found
    assert [found.count(f" {verdict} ") for verdict in ("5 no data", "3 95 missed")] == [1, 1]
    assert "2024-11-03 95 24 1,200 7 42" in found
    assert "first snapshot" in found
    assert "late data of \\u5e97" in found
    assert max(totals, key=lambda day: day["id"])["hash"] in found
    assert body == stored_report_pdf(store, "up", "2024-11", NOW_MS + DAY_MS)
    assert PdfReader(io.BytesIO(body)).metadata["/CreationDate"].startswith("D:20241205000000")


def test_letters_of_a_font_are_embedded(database: Database, tmp_path: Path) -> None:
    """Those that it has, also in headings; others are escapes. The same bytes every time; a bad file is named."""
    font = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
    if not font.exists():
        pytest.skip("needs fonts-dejavu-core")
    store = filled(database)
    day = SlaDefinition("łódź", "платежи 店", "UPTIME", 99.0, "30d", "b", "t")
    store.put(day, day_start_ms("2024-11-01"))
    body = stored_report_pdf(store, "łódź", "2024-11", NOW_MS, str(font))
    assert body == stored_report_pdf(store, "łódź", "2024-11", NOW_MS, str(font))
    assert "Service level report: łódź Service платежи \\u5e97, 2024-11-01 to" in texts(body)
    assert len(body) < 100_000
    (tmp_path / "none.ttf").write_text("no font")
    for path in ("none.ttf", "gone.ttf"):
        with pytest.raises(BadQuery, match=r"sla\.report_font"):
            stored_report_pdf(store, "łódź", "2024-11", NOW_MS, str(tmp_path / path))


def test_a_quarter_has_three_months(database: Database) -> None:
    """Months without snapshots have a calendar too; the last month is the default."""
    store = filled(database)
    found = texts(stored_report_pdf(store, "up", "2024-Q4", NOW_MS))
    assert all(month in found for month in ("2024-10 Mon", "2024-11 Mon", "2024-12 Mon"))
    assert found.count("no snapshot") == 31 + 31
    assert stored_report_pdf(store, "up", "", NOW_MS) == stored_report_pdf(store, "up", "2024-11", NOW_MS)


@pytest.mark.parametrize(
    ("period", "days"),
    [
        ("2024-02", ("2024-02-01", "2024-02-29")),
        ("2024-Q1", ("2024-01-01", "2024-03-31")),
        ("2024-Q4", ("2024-10-01", "2024-12-31")),
        ("", ("2024-11-01", "2024-11-30")),
    ],
)
def test_periods(period: str, days: tuple[str, str]) -> None:
    """Months, quarters, and the last full month."""
    assert period_days(period, NOW_MS) == days


@pytest.mark.parametrize("period", ["2024", "2024-13", "2024-Q5", "0000-01", "2024-11-01", "\uff12024-11"])
def test_what_is_no_period_is_refused(period: str) -> None:
    """With the name of the parameter."""
    with pytest.raises(BadQuery, match="report_period"):
        period_days(period, NOW_MS)


def test_faults_are_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agreement that is none; and the extra, where it is missing."""
    store = filled(database)
    with pytest.raises(NoDefinition, match="nobody"):
        stored_report_pdf(store, "nobody", "2024-11", NOW_MS)
    importing = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "fpdf":
            raise ImportError(name)
        return importing(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadQuery, match=r"nissa\[reports\]"):
        stored_report_pdf(store, "up", "2024-11", NOW_MS)
