"""Heartbeat strips: how each day, or hour, of a service was by all its agreements. Pure.

    versions, snapshots ──► by service ──► a beat for each day or hour: met, missed, none

One agreement that was missed decides on a beat. A beat without data is ``none``, never met. Hours are those that
snapshots keep as evidence, so an hour is known once its day is over.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from nissa.model.units import HOUR_MS
from nissa.tiers.sla import HOURS, SlaDefinition, day_start_ms

BEATS_BY: Final = {"day": 90, "hour": 7}  # days shown


class Beat(msgspec.Struct, frozen=True):
    """at_ms: its begin, Unix milliseconds. state: ``met``, ``missed`` or ``none``. missed: values by agreement.

    downtime_minutes: of its day, the most of any agreement; 0 for hours.
    """

    at_ms: int
    state: str
    missed: dict[str, float] = {}
    downtime_minutes: float = 0.0


def heartbeats(
    versions: Sequence[SlaDefinition], snapshots: Sequence[Mapping[str, Any]], last_day: str, by: str
) -> list[Beat]:
    """Beats of one service until a day, the oldest first. versions: of its definitions. by: key of ``BEATS_BY``."""
    known = {(one.id, one.version): one for one in versions}
    values: dict[int, dict[str, bool]] = {}
    missed: dict[int, dict[str, float]] = {}
    downtimes: dict[int, float] = {}
    for row in snapshots:
        definition = known.get((row["definition_id"], row["definition_version"]))
        if definition is None:
            continue
        begin_ms = day_start_ms(row["day"])
        if by == "day":
            downtimes[begin_ms] = max(downtimes.get(begin_ms, 0.0), row["downtime_minutes"])
        for at_ms, value in _values(row, begin_ms, by):
            values.setdefault(at_ms, {})[definition.id] = definition.is_met(value)
            if not definition.is_met(value):
                missed.setdefault(at_ms, {})[definition.id] = value
    return [
        Beat(at_ms, _state(values.get(at_ms, {})), missed.get(at_ms, {}), downtimes.get(at_ms, 0.0))
        for at_ms in _times(last_day, by)
    ]


def first_beat_day(last_day: str, by: str) -> str:
    """The first day of a strip that ends with a day."""
    return (date.fromisoformat(last_day) - timedelta(days=BEATS_BY[by] - 1)).isoformat()


def _values(row: Mapping[str, Any], begin_ms: int, by: str) -> list[tuple[int, float]]:
    if by == "day":
        return [(begin_ms, row["value"])] if row["value"] is not None else []
    hours = row["evidence"].get("hours", [])
    return [(begin_ms + hour * HOUR_MS, value) for hour, value in enumerate(hours) if value is not None]


def _times(last_day: str, by: str) -> list[int]:
    first_ms = day_start_ms(first_beat_day(last_day, by))
    step_ms = HOUR_MS * (HOURS if by == "day" else 1)
    return list(range(first_ms, day_start_ms(last_day) + HOURS * HOUR_MS, step_ms))


def _state(met: Mapping[str, bool]) -> str:
    return "none" if not met else "met" if all(met.values()) else "missed"
