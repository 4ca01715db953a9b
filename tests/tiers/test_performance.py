"""Numbers of requests against those that they were made of, and what moved."""

import math
import random

import pytest

from nissa.model.units import HOUR_MS
from nissa.tiers.performance import TOTAL, BucketRow, ErrorRow, Key, Numbers, numbers_of, request_moves

BOUNDS = (0.1, 0.2, 0.5, 1.0, 2.0, math.inf)


def rows(service: str, route: str, durations: list[float]) -> list[BucketRow]:
    """Buckets of requests."""
    return [
        BucketRow(service, "h", route, bound, float(sum(duration <= bound for duration in durations)))
        for bound in BOUNDS
    ]


def test_numbers_are_those_of_the_requests() -> None:
    """Of each route and of the whole service, within the width of a bucket."""
    draw = random.Random(3)
    durations = {route: [draw.uniform(0, 0.9) for _ in range(3_600)] for route in ("/a", "/b")}
    made = [row for route, own in durations.items() for row in rows("shop", route, own)]
    found = numbers_of(made, [ErrorRow("shop", "h", "/a", 36.0)], HOUR_MS)
    assert set(found) == {("shop", "h", route) for route in ("/a", "/b", TOTAL)}
    first, whole = found["shop", "h", "/a"], found["shop", "h", TOTAL]
    assert (first.requests, first.rate, first.errors, first.error_ratio) == (3_600, 1, 36, 0.01)
    assert (whole.requests, whole.error_ratio, found["shop", "h", "/b"].errors) == (7_200, 0.005, 0)
    everything = sorted(duration for own in durations.values() for duration in own)
    assert whole.p50 == pytest.approx(everything[3_600], abs=0.15)
    assert whole.p95 == pytest.approx(everything[6_840], abs=0.15)
    assert whole.open_ended == ()


def test_a_quantile_in_the_last_bucket_is_a_lower_bound() -> None:
    """It is the bound below, and said to be open-ended; without requests there is no row."""
    found = numbers_of(rows("shop", "/a", [9.0] * 100), [], HOUR_MS)["shop", "h", "/a"]
    assert (found.p50, found.p99, found.open_ended) == (2.0, 2.0, ("p50", "p95", "p99"))
    assert numbers_of(rows("shop", "/a", []), [], HOUR_MS) == {}


def numbers(requests: float, errors: float = 0, p95: float = 1.0, p99: float = 1.0, **more: tuple) -> Numbers:
    """Numbers of a window."""
    return Numbers(requests, requests / 3_600, errors, errors / requests, 0.5, p95, p99, **more)


def test_what_moved_is_ranked_by_its_factor() -> None:
    """Both ways; by few requests, by chance, or from an open end nothing moves."""
    keys: list[Key] = [("shop", "h", f"/{number}") for number in range(6)]
    before = {
        keys[0]: numbers(10_000),
        keys[1]: numbers(10_000, 10),
        keys[2]: numbers(100, 1),
        keys[3]: numbers(10_000, p95=3.0),
        keys[4]: numbers(10_000, open_ended=("p95", "p99")),
        keys[5]: numbers(10_000),
    }
    now = {
        keys[0]: numbers(10_000, p99=2.0),
        keys[1]: numbers(10_000, 500),
        keys[2]: numbers(100, 2, p99=9.0),
        keys[3]: numbers(10_000, p95=1.0),
        keys[4]: numbers(10_000, p99=5.0),
        keys[5]: numbers(10_000, p95=1.05),
    }
    found = request_moves(now, before, 50)
    assert [(one.route, one.what) for one in found] == [("/1", "error_ratio"), ("/3", "p95"), ("/0", "p99")]
    assert found[0].factor == pytest.approx(501 / 11)
    assert (found[1].factor, found[2].factor) == (pytest.approx(1 / 3), 2.0)
    assert request_moves(now, {}, 50) == []
    quick = {keys[0]: numbers(10_000, p95=0.001, p99=0.1)}
    slower = {keys[0]: numbers(10_000, p95=0.002, p99=0.2)}
    assert [one.what for one in request_moves(slower, quick, 50)] == ["p99"], "a millisecond is no move"
