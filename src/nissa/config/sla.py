"""Settings of service level agreements: their definitions, and the snapshots of each day."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count, duration
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, YEAR_MS


class SlaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """files: of definitions. delay_ms: after midnight, UTC, before the day's snapshots are written, for late data.

    catch_up_ms: how far back days without a snapshot are made up for. downtime_severities: of incidents whose minutes
    count as downtime. report_font: path of the font that reports as PDF are set in; empty: Helvetica, with Latin-1.
    """

    files: tuple[str, ...] = ()
    interval_ms: Annotated[int, duration(100, HOUR_MS)] = MINUTE_MS
    delay_ms: Annotated[int, duration(0, 12 * HOUR_MS)] = 30 * SECOND_MS
    catch_up_ms: Annotated[int, duration(DAY_MS, YEAR_MS)] = 30 * DAY_MS
    query_timeout_ms: Annotated[int, duration(100, HOUR_MS)] = 30 * SECOND_MS
    definitions_max: Annotated[int, count(1, 1_000_000)] = 10_000
    downtime_severities: tuple[str, ...] = ("critical", "error")
    report_font: str = ""
