"""Settings of recording and alerting rules."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count, duration
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, YEAR_MS


class RuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rule files, and how they are evaluated.

    files: paths and patterns. shipped: names of files that come with Nissa. watch_ms: between two looks at whether
    files have changed; 0: none.
    """

    files: tuple[str, ...] = ()
    shipped: tuple[str, ...] = ()
    watch_ms: Annotated[int, duration(0, DAY_MS)] = 0
    interval_ms: Annotated[int, duration(100, DAY_MS)] = 30 * SECOND_MS
    threads: Annotated[int, count(1, 64)] = 2
    query_timeout_ms: Annotated[int, duration(10, HOUR_MS)] = 30 * SECOND_MS
    record_timeout_ms: Annotated[int, duration(10, HOUR_MS)] = 30 * SECOND_MS
    resend_delay_ms: Annotated[int, duration(100, DAY_MS)] = MINUTE_MS
    outage_ms_max: Annotated[int, duration(0, YEAR_MS, "outage_max")] = HOUR_MS
    restore_grace_ms: Annotated[int, duration(0, DAY_MS)] = MINUTE_MS
    history_ms: Annotated[int, duration(MINUTE_MS, 100 * YEAR_MS)] = 90 * DAY_MS
    rules_max: Annotated[int, count(1, 10_000_000)] = 100_000
    series_per_rule_max: Annotated[int, count(1, 10_000_000)] = 100_000
    external_url: str = ""
    external_labels: dict[str, str] = {}
