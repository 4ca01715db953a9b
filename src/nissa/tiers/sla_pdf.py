"""The report of one agreement over a month or quarter as PDF. Pure: the same snapshots give the same bytes.

    agreement · totals · calendar of each month · days that missed · corrections with their reasons · hash

Texts are set in Helvetica, which every reader has and which has Latin-1 alone, or in a font that is embedded, as far as
its letters are used. Characters that the font lacks are written as escapes. The date of creation is that of the newest
snapshot.
"""

import calendar
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nissa.model.errors import BadQuery
from nissa.model.units import SECOND_MS
from nissa.tiers.sla import YEAR_MIN, SlaDefinition, day_of, version_of_day
from nissa.tiers.sla_report import window_state

if TYPE_CHECKING:
    from fpdf import FPDF

    from nissa.tiers.sla_store import SlaStore

ROWS_MAX: Final = 500  # of the table of corrections
TEXT_MAX: Final = 300  # characters of one text in a table
_PERIOD: Final = re.compile(r"(\d{4})-(?:(0[1-9]|1[0-2])|Q([1-4]))", re.ASCII)
_COLOURS: Final = {"met": (212, 237, 218), "missed": (248, 205, 205), "no data": (232, 234, 237), "": (255, 255, 255)}
_FONT: Final = "helvetica"
_OWN_FONT: Final = "report"  # the embedded one


def period_days(period: str, now_ms: int) -> tuple[str, str]:
    """First and last day of ``2024-11`` or ``2024-Q4``; an empty text is the last month that has ended.

    Raises: BadQuery.
    """
    if not period:
        last = date.fromisoformat(day_of(now_ms)).replace(day=1) - timedelta(days=1)
        return last.replace(day=1).isoformat(), last.isoformat()
    found = _PERIOD.fullmatch(period)
    if found is None or int(found[1]) < YEAR_MIN:
        raise BadQuery(
            f"invalid parameter 'report_period': {period[:40]!r} is neither a month (2024-11) nor a quarter (2024-Q4)"
        )
    year, month, months = int(found[1]), int(found[2] or 3 * int(found[3] or 1) - 2), 1 if found[2] else 3
    end_month = month + months - 1
    end = date(year, end_month, calendar.monthrange(year, end_month)[1])
    return date(year, month, 1).isoformat(), end.isoformat()


def stored_report_pdf(store: "SlaStore", sla: str, period: str, now_ms: int, font: str = "") -> bytes:
    """The report of what is stored. font: as ``report_pdf`` has it. Raises: BadQuery, NoDefinition; Unavailable."""
    from nissa.tiers.sla_store import NoDefinition

    first, last = period_days(period, now_ms)
    versions = store.definitions().get(sla)
    if not versions:
        raise NoDefinition(f"there is no definition {sla[:100]!r}")
    days = store.snapshots([sla], first, last)
    corrections = [one for day in days if day["revision"] for one in store.revisions(sla, day["day"])]
    return report_pdf(versions, days, corrections, (first, last), font)


def report_pdf(
    versions: Sequence[SlaDefinition],
    days: Sequence[Mapping[str, Any]],
    corrections: Sequence[Mapping[str, Any]],
    span: tuple[str, str],
    font: str = "",
) -> bytes:
    """The report. versions: of the definition, the oldest first. days: snapshots in the newest revision, the oldest
    first. corrections: all revisions of the days that have been corrected. span: first and last day.
    font: path of a TrueType or OpenType font that is embedded; empty for Helvetica.

    Raises: BadQuery where the extra is missing, or the font cannot be read.
    """
    try:
        from fpdf import FPDF
    except ImportError:
        raise BadQuery("a report as PDF needs the extra nissa[reports]: pip install 'nissa[reports]'") from None
    one = version_of_day(versions, span[1]) or versions[-1]
    pdf = FPDF(format="A4")
    if font:
        _embed(pdf, font)
    made_ms = max((day["created_ms"] for day in days), default=0)
    pdf.set_creation_date(datetime.fromtimestamp(made_ms // SECOND_MS, UTC))
    pdf.set_title(_plain(pdf, f"{one.id}, {span[0]} to {span[1]}"))
    pdf.set_lang("en")
    pdf.set_auto_page_break(auto=True, margin=15)
    pdf.add_page()
    _heading(pdf, f"Service level report: {one.id}", 16)
    _line(pdf, f"Service {one.service}, {span[0]} to {span[1]} (UTC)")
    if one.description:
        _line(pdf, one.description)
    _agreement(pdf, versions, span)
    _totals(pdf, one, days, _missed(versions, days))
    verdicts = {day["day"]: (_verdict(versions, day), day["value"]) for day in days}
    _calendars(pdf, verdicts, span)
    _breaches(pdf, _missed(versions, days))
    _corrections(pdf, corrections)
    _heading(pdf, "Evidence")
    newest = max(days, key=lambda day: day["id"], default=None)
    _line(pdf, f"Hash of the newest snapshot: {newest['hash'] if newest else 'none'}")
    _line(pdf, "Each hash covers all snapshots before it. 'nissa sla verify' checks the chain.")
    return bytes(pdf.output())


def _agreement(pdf: "FPDF", versions: Sequence[SlaDefinition], span: tuple[str, str]) -> None:
    _heading(pdf, "Agreement")
    rows = [("Version", "In force", "Type", "Target", "Window", "Changed by")]
    for one in versions:
        until = day_of(one.active_to_ms) if one.active_to_ms else ""
        if day_of(one.active_from_ms) <= span[1] and (not until or until >= span[0]):
            shown = (one.metric_type, f"{one.target:g}", one.time_window, one.changed_by)
            rows.append((str(one.version), f"{day_of(one.active_from_ms)} to {until or 'now'}", *shown))
    _table(pdf, rows, (1, 3, 2, 1.5, 1.5, 3))


def _totals(
    pdf: "FPDF", one: SlaDefinition, days: Sequence[Mapping[str, Any]], missed: Sequence[Mapping[str, Any]]
) -> None:
    state = window_state(one, days)
    met = {True: "met", False: "missed", None: "no data"}[state["is_met"]]
    _heading(pdf, "Totals")
    rows = [
        ("Value", f"{_number(state['value'])} ({met}; target {one.target:g})"),
        ("Days with data", f"{state['days_with_data']} of {state['days']} snapshots"),
        ("Days missed", str(len(missed))),
        ("Hours missed", _number(sum(day["breach_count"] or 0 for day in days))),
        ("Events", _number(state["total_events"])),
        ("Bad events", _number(state["error_events"])),
        ("Error budget burned", _number(state["error_budget_burned"])),
        ("Downtime, minutes", _number(state["downtime_minutes"])),
    ]
    _table(pdf, [("Total", "Value"), *rows], (1, 2))


def _calendars(pdf: "FPDF", verdicts: Mapping[str, tuple[str, float | None]], span: tuple[str, str]) -> None:
    first, last = date.fromisoformat(span[0]), date.fromisoformat(span[1])
    for month in range(first.month, last.month + 1):
        weeks = calendar.Calendar().monthdatescalendar(first.year, month)
        if pdf.will_page_break(10 + 12 * (len(weeks) + 1)):
            pdf.add_page()
        _heading(pdf, f"{first.year}-{month:02}")
        width, height = pdf.epw / 7, 11.0
        _set_font(pdf, "B", 8)
        for name in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"):
            pdf.cell(width, 5, name, align="C")
        pdf.ln(5)
        _set_font(pdf, "", 7)
        for week in weeks:
            left, top = pdf.get_x(), pdf.get_y()
            for place, day in enumerate(week):
                if day.month == month:
                    verdict, value = verdicts.get(day.isoformat(), ("", None))
                    pdf.set_fill_color(*_COLOURS[verdict])
                    pdf.rect(left + place * width, top, width, height, style="DF")
                    text = f"{day.day}  {_number(value) if value is not None else ''}\n{verdict or 'no snapshot'}"
                    pdf.set_xy(left + place * width, top + 1)
                    pdf.multi_cell(width, 4.5, text)
            pdf.set_xy(left, top + height)


def _breaches(pdf: "FPDF", missed: Sequence[Mapping[str, Any]]) -> None:
    _heading(pdf, "Days that missed")
    rows = [("Day", "Value", "Hours missed", "Bad events", "Downtime, minutes", "Incidents")]
    for day in missed:
        numbers = (_number(day[name]) for name in ("value", "breach_count", "error_events", "downtime_minutes"))
        incidents = ", ".join(map(str, day["evidence"].get("incidents", ()))) or "none"
        rows.append((day["day"], *numbers, incidents[:TEXT_MAX]))
    _table(pdf, rows, (2, 2, 2, 2, 2.5, 3), "None.")


def _corrections(pdf: "FPDF", corrections: Sequence[Mapping[str, Any]]) -> None:
    _heading(pdf, "Corrections")
    rows = [("Day", "Revision", "Value", "Written", "Reason")]
    for one in corrections[:ROWS_MAX]:
        written = f"{datetime.fromtimestamp(one['created_ms'] // SECOND_MS, UTC):%Y-%m-%d %H:%M:%SZ}"
        rows.append(
            (one["day"], str(one["revision"]), _number(one["value"]), written, one["reason"] or "first snapshot")
        )
    _table(pdf, rows, (2, 1.3, 2, 3, 5), "None.")
    if len(corrections) > ROWS_MAX:
        _line(pdf, f"{len(corrections) - ROWS_MAX} further revisions are left out.")


def _missed(versions: Sequence[SlaDefinition], days: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [day for day in days if _verdict(versions, day) == "missed"]


def _verdict(versions: Sequence[SlaDefinition], day: Mapping[str, Any]) -> str:
    """By the version that held for the day."""
    if day["value"] is None:
        return "no data"
    held = next(one for one in versions if one.version == day["definition_version"])
    return "met" if held.is_met(day["value"]) else "missed"


def _table(pdf: "FPDF", rows: Sequence[Sequence[str]], widths: Sequence[float], empty: str = "") -> None:
    """A table; its first row is the heading."""
    if len(rows) == 1 and empty:
        _line(pdf, empty)
        return
    _set_font(pdf, "", 8)
    pdf.set_fill_color(255)
    with pdf.table(col_widths=tuple(widths), text_align="LEFT", line_height=5) as table:
        for row in rows:
            table.row([_plain(pdf, cell[:TEXT_MAX]) for cell in row])


def _heading(pdf: "FPDF", text: str, size: int = 12) -> None:
    _set_font(pdf, "B", size)
    pdf.multi_cell(0, size * 0.6, _plain(pdf, text), new_x="LMARGIN", new_y="NEXT")


def _line(pdf: "FPDF", text: str) -> None:
    _set_font(pdf, "", 9)
    pdf.multi_cell(0, 5, _plain(pdf, text), new_x="LMARGIN", new_y="NEXT")


def _embed(pdf: "FPDF", font: str) -> None:
    """Have texts set in the font of a file. Raises: BadQuery."""
    from fontTools.ttLib import TTLibError

    try:
        for style in ("", "B"):
            pdf.add_font(_OWN_FONT, style, font)
    except (OSError, TTLibError) as error:
        raise BadQuery(f"sla.report_font: {font[:200]}: no font can be read: {error}"[:500]) from None


def _set_font(pdf: "FPDF", style: str, size: int) -> None:
    pdf.set_font(_OWN_FONT if _OWN_FONT in pdf.fonts else _FONT, style, size)


def _plain(pdf: "FPDF", text: str) -> str:
    """The text in characters that the font has; others as escapes, control characters as spaces."""
    if _OWN_FONT in pdf.fonts:
        letters: Container[int] = getattr(pdf.fonts[_OWN_FONT], "cmap", ())
        known = "".join(
            one if ord(one) in letters else one.encode("ascii", "backslashreplace").decode() for one in text
        )
    else:
        known = text.encode("latin-1", "backslashreplace").decode("latin-1")
    return "".join(one if one.isprintable() else " " for one in known)


def _number(value: float | None) -> str:
    return "no data" if value is None else f"{value:,.10g}"
