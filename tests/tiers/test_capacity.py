"""Trends to limits, against series whose truth is known."""

import random

import pytest

from nissa.model.units import DAY_MS, HOUR_MS
from nissa.tiers.capacity import capacity_trend

NOW_MS = 20_000 * DAY_MS


def daily(days: int, per_day: float, noise: float = 0.0, start: float = 100.0) -> list[tuple[int, float]]:
    """Hourly values that rise by ``per_day``, with a swing of the day and noise."""
    draw = random.Random(days)
    points = []
    for hour in range(days * 24 + 1):
        swing = 20.0 * (hour % 24 in (9, 10, 11))
        value = start + per_day * hour / 24 + swing + draw.gauss(0, noise)
        points.append((NOW_MS - days * DAY_MS + hour * HOUR_MS, value))
    return points


def test_a_clear_trend_has_a_date() -> None:
    """The swing of the day does not move it; the true date lies between the earliest and the latest."""
    found = capacity_trend(daily(30, 2.0, 1.0), HOUR_MS, NOW_MS, 240.0)
    assert (found.state, found.slot_ms, len(found.points)) == ("expected", DAY_MS, 30)
    assert found.slope == pytest.approx(2.0, abs=0.15)
    true_ms = NOW_MS + 30 * DAY_MS  # peaks are 120 + 60 now
    earliest_ms, reaches_ms, latest_ms = found.earliest_ms or 0, found.reaches_ms or 0, found.latest_ms or 0
    assert abs(reaches_ms - true_ms) < 4 * DAY_MS
    assert 0 < earliest_ms <= reaches_ms <= latest_ms


def test_what_falls_to_a_limit_is_its_mirror_image() -> None:
    """Free space that shrinks has the date of used space that grows; slopes and points keep their signs."""
    rising = capacity_trend(daily(20, 2.0, 1.0), HOUR_MS, NOW_MS, 200.0)
    mirrored = [(at_ms, -value) for at_ms, value in daily(20, 2.0, 1.0)]
    falling = capacity_trend(mirrored, HOUR_MS, NOW_MS, -200.0, falls=True)
    assert falling.reaches_ms == rising.reaches_ms
    assert falling.slope == pytest.approx(-(rising.slope or 0))
    assert falling.slope_low == pytest.approx(-(rising.slope_high or 0))
    assert falling.points[0][1] == pytest.approx(-rising.points[0][1])


@pytest.mark.parametrize(
    ("points", "limit", "state", "why"),
    [
        ([], 1.0, "unknown", "no samples"),
        (daily(30, 2.0)[:5], 999.0, "unknown", "0 days with samples"),
        ([(NOW_MS - at * HOUR_MS, 1.0) for at in range(5, -1, -1)], 9.0, "unknown", "12 are needed"),
        (daily(8, 0.5, 6.0), 140.0, "unclear", "noise"),
        (daily(30, 0.0), 500.0, "not_in_sight", ""),
        (daily(30, -1.0), 500.0, "not_in_sight", ""),
        (daily(30, 0.5, 0.1), 5_000.0, "not_in_sight", ""),
        (daily(30, 2.0), 170.0, "reached", ""),
        ([(NOW_MS - at * HOUR_MS, float("nan")) for at in range(9)], 9.0, "unknown", "no samples"),
    ],
)
def test_what_cannot_be_known_is_said(points: list[tuple[int, float]], limit: float, state: str, why: str) -> None:
    """Too few samples, noise, a trend away from the limit, and one that is too far to be told have no date."""
    found = capacity_trend(points, HOUR_MS, NOW_MS, limit)
    assert (found.state, found.reaches_ms, found.latest_ms) == (state, None, None)
    assert why in found.unknown


def test_outliers_and_gaps_move_nothing() -> None:
    """One day of a hundred times the value and three days without samples leave the slope as it is."""
    points = [(at_ms, value) for at_ms, value in daily(30, 2.0, 0.5) if not 5 <= (NOW_MS - at_ms) // DAY_MS < 8]
    points = [(at_ms, 100 * value if (NOW_MS - at_ms) // DAY_MS == 15 else value) for at_ms, value in points]
    found = capacity_trend(points, HOUR_MS, NOW_MS, 240.0)
    assert len(found.points) == 27
    assert found.slope == pytest.approx(2.0, abs=0.15)
