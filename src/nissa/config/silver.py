"""Settings of the Silver tier: rollups of chosen metrics in the database, and the janitor that deletes old ones."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count, duration
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, YEAR_MS


class SilverMetric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Series that are rolled up. match: a selector with a name. tags: their labels that stay; others are added up."""

    match: str
    tags: tuple[str, ...] = ()


class SilverSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """metrics: rolled up every interval_ms; none: no rollups. late_ms: rows of so long ago are written again each time,
    for late samples. keys_max: combinations of name, service and tags in one flush; further ones are left out.
    combinations_max: of them in the database, over which admins are alerted. compared_rows_max: rows of minutes, and of
    hours, that are held in memory, so that only those that differ are written.
    """

    metrics: tuple[SilverMetric, ...] = ()
    service_labels: tuple[str, ...] = ("service", "service_name", "job")
    interval_ms: Annotated[int, duration(SECOND_MS, HOUR_MS)] = MINUTE_MS
    late_ms: Annotated[int, duration(MINUTE_MS, DAY_MS)] = 10 * MINUTE_MS
    minutes_retention_ms: Annotated[int, duration(HOUR_MS, 10 * YEAR_MS)] = 30 * DAY_MS
    hours_retention_ms: Annotated[int, duration(DAY_MS, 100 * YEAR_MS)] = 90 * DAY_MS
    keys_max: Annotated[int, count(1, 10_000_000)] = 10_000
    combinations_max: Annotated[int, count(1, 100_000_000)] = 10_000
    compared_rows_max: Annotated[int, count(0, 100_000_000)] = 1_000_000
    query_timeout_ms: Annotated[int, duration(100, HOUR_MS)] = 30 * SECOND_MS
    janitor_interval_ms: Annotated[int, duration(SECOND_MS, DAY_MS)] = HOUR_MS
