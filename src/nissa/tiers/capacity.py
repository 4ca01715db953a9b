"""Forecast of a metric that has a limit: a robust trend of its peaks, and what cannot be said. Pure.

    points ──► the highest of each day, or hour ──► median of all slopes (Theil and Sen) ──► level now, and when

The slope has an interval of 95 % from Kendall's statistic. A date is given only where the whole interval leads to the
limit; beyond three times what is known, no date is given at all. Deviations that follow on each other make the
interval narrower than it should be: where there are enough days, their peaks are taken, so that no time of day counts.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.units import DAY_MS, HOUR_MS

DAYS_MIN: Final = 7
HOURS_MIN: Final = 12
SLOTS_MAX: Final = 400  # the newest; all pairs of them are compared
HORIZON_FACTOR: Final = 3
NORMAL_95: Final = 1.96
MIDDLE: Final = 0.5

Floats = npt.NDArray[np.float64]


class CapacityTrend(msgspec.Struct, frozen=True):
    """state: ``reached``, ``expected``, ``not_in_sight`` (not within the horizon), ``unclear`` or ``unknown``.

    unknown: why nothing is said, or ''. slot_ms: what peaks are of. points: [middle of the slot, peak]. now: the newest
    peak. level: of the trend, now. slope, slope_low, slope_high: per day. reaches_ms, earliest_ms, latest_ms: Unix
    milliseconds; None where there is no such date. horizon_ms: until when anything is said.
    """

    state: str
    unknown: str = ""
    slot_ms: int = 0
    points: list[list[float]] = []
    now: float | None = None
    level: float | None = None
    slope: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    reaches_ms: int | None = None
    earliest_ms: int | None = None
    latest_ms: int | None = None
    horizon_ms: int | None = None


def capacity_trend(
    points: Sequence[tuple[int, float]], step_ms: int, end_ms: int, limit: float, *, falls: bool = False
) -> CapacityTrend:
    """The trend to a limit. points: times in milliseconds and values, ascending, every ``step_ms``.

    end_ms: now. falls: the limit lies below the values.
    """
    known = [(at_ms, value) for at_ms, value in points if math.isfinite(value) and at_ms <= end_ms]
    if not known:
        return CapacityTrend("unknown", "there are no samples")
    covered_ms = end_ms - known[0][0]
    slot_ms = DAY_MS if covered_ms >= DAYS_MIN * DAY_MS else HOUR_MS
    sign = -1.0 if falls else 1.0
    times, values = _peaks(known, step_ms, end_ms, slot_ms, sign)
    shown = [[float(at_ms), sign * value] for at_ms, value in zip(times.tolist(), values.tolist(), strict=True)]
    needed = DAYS_MIN if slot_ms == DAY_MS else HOURS_MIN
    if len(values) < needed:
        what = "days" if slot_ms == DAY_MS else "hours"
        return CapacityTrend("unknown", f"{len(values)} {what} with samples, {needed} are needed", slot_ms, shown)
    slope, low, high, level = _fitted((times - end_ms) / DAY_MS, values)
    dates = _dates(values[-1], level, (slope, low, high), sign * limit, end_ms, end_ms + HORIZON_FACTOR * covered_ms)
    low, high = sorted((sign * low, sign * high))
    return msgspec.structs.replace(
        dates,
        slot_ms=slot_ms,
        points=shown,
        now=sign * float(values[-1]),
        level=sign * level,
        slope=sign * slope,
        slope_low=low,
        slope_high=high,
    )


def _peaks(
    known: Sequence[tuple[int, float]], step_ms: int, end_ms: int, slot_ms: int, sign: float
) -> tuple[Floats, Floats]:
    """Middle and peak of each slot, counted back from the end, but for those with less than half their points."""
    times = np.array([at_ms for at_ms, _ in known], np.int64)
    values = sign * np.array([value for _, value in known], np.float64)
    slots = (end_ms - times) // slot_ms
    found, starts, counts = np.unique(slots, return_index=True, return_counts=True)
    whole = (counts * step_ms * 2 >= slot_ms) & (found < SLOTS_MAX)
    peaks = [float(values[start : start + number].max()) for start, number in zip(starts, counts, strict=True)]
    middles = end_ms - (found + MIDDLE) * slot_ms
    return middles[whole][::-1].astype(np.float64), np.array(peaks, np.float64)[whole][::-1]


def _fitted(days: Floats, values: Floats) -> tuple[float, float, float, float]:
    """Slope per day with the ends of its interval, and the level at 0."""
    count = len(values)
    earlier, later = np.triu_indices(count, 1)
    slopes = np.sort((values[later] - values[earlier]) / (days[later] - days[earlier]))
    width = NORMAL_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = slopes[max(math.floor((len(slopes) - width) / 2), 0)]
    high = slopes[min(math.ceil((len(slopes) + width) / 2), len(slopes) - 1)]
    slope = float(np.median(slopes))
    return slope, float(low), float(high), float(np.median(values - slope * days))


def _dates(
    newest: float, level: float, slopes: tuple[float, float, float], limit: float, end_ms: int, horizon_ms: int
) -> CapacityTrend:
    """State and dates of values that rise to a limit."""
    if newest >= limit:
        return CapacityTrend("reached", horizon_ms=horizon_ms)
    expected, latest, earliest = (_reached_ms(max(limit - level, 0.0), slope, end_ms) for slope in slopes)
    if earliest is None or earliest > horizon_ms:
        return CapacityTrend("not_in_sight", horizon_ms=horizon_ms)
    if latest is None or expected is None:
        noise = "the trend does not stand out of its noise"
        return CapacityTrend("unclear", noise, earliest_ms=earliest, horizon_ms=horizon_ms)
    if expected > horizon_ms:
        return CapacityTrend("not_in_sight", earliest_ms=earliest, horizon_ms=horizon_ms)
    dates: dict[str, Any] = {"reaches_ms": expected, "earliest_ms": earliest, "horizon_ms": horizon_ms}
    return CapacityTrend("expected", latest_ms=latest if latest <= horizon_ms else None, **dates)


def _reached_ms(gap: float, slope: float, end_ms: int) -> int | None:
    """The time at which a gap is closed; None where it is not, within some thousand years."""
    days = gap / slope if slope > 0 else math.inf
    return end_ms + round(days * DAY_MS) if days < 1e6 else None
