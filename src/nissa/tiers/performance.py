"""Requests of services in two windows: rate, errors, durations, and what moved most between them. Pure.

    rows (service, histogram, route, bound, count) ──► Numbers by service and by route ──► moves, the largest first

Quantiles are interpolated within buckets as by PromQL's ``histogram_quantile``. One in the last bucket, which has no
upper bound, is at least the bound below: ``open_ended`` names it.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import numpy as np

from nissa._fast.classic_histogram import bucket_quantiles
from nissa.model.units import SECOND_MS

QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
MOVED: Final = ("p95", "p99")
MOVES_MAX: Final = 50
BEYOND_MIN: Final = 10  # requests slower than a quantile, before it is said to have moved
FACTOR_MIN: Final = 1.1
DURATION_MIN: Final = 0.005  # in the unit of the histogram: a difference of p95 or p99, before it is said to have moved
DEVIATIONS_MIN: Final = 3.0
TOTAL: Final = ""  # route of a whole service

Key = tuple[str, str, str]  # service, histogram, route


class BucketRow(msgspec.Struct, frozen=True):
    """Requests of a route that took at most ``bound``, in one window."""

    service: str
    histogram: str
    route: str
    bound: float
    count: float


class ErrorRow(msgspec.Struct, frozen=True):
    """Requests of a route that failed."""

    service: str
    histogram: str
    route: str
    count: float


class Numbers(msgspec.Struct, frozen=True):
    """Requests of one window. rate: per second. error_ratio: None without requests. p50, p95, p99: in the unit of the
    histogram; None where they are not known. open_ended: quantiles that are at least the value given.
    """

    requests: float
    rate: float
    errors: float
    error_ratio: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    open_ended: tuple[str, ...] = ()


class RequestMove(msgspec.Struct, frozen=True):
    """A number that moved: ``p95``, ``p99`` or ``error_ratio`` of a route, or of a service where the route is empty.

    factor: after / before; of shares of errors with one more error and two more requests in each, so that none is 0.
    """

    service: str
    histogram: str
    route: str
    what: str
    before: float
    after: float
    factor: float
    open_ended: bool = False


def numbers_of(rows: Iterable[BucketRow], errors: Iterable[ErrorRow], window_ms: int) -> dict[Key, Numbers]:
    """Numbers of each route, and of each service as the route ``TOTAL``."""
    buckets: dict[Key, dict[float, float]] = {}
    failed: dict[Key, float] = {}
    for row in rows:
        for route in {row.route, TOTAL}:
            own = buckets.setdefault((row.service, row.histogram, route), {})
            own[row.bound] = own.get(row.bound, 0.0) + row.count
    for error in errors:
        for route in {error.route, TOTAL}:
            key = error.service, error.histogram, route
            failed[key] = failed.get(key, 0.0) + error.count
    keys = sorted(key for key, own in buckets.items() if own.get(math.inf, 0.0) > 0)
    found = _numbers([buckets[key] for key in keys], [failed.get(key, 0.0) for key in keys], window_ms)
    return dict(zip(keys, found, strict=True))


def request_moves(now: Mapping[Key, Numbers], before: Mapping[Key, Numbers], requests_min: int) -> list[RequestMove]:
    """Numbers that moved between two windows beyond chance, the largest factor first, ``MOVES_MAX`` at most.

    requests_min: in both windows, for shares of errors.
    """
    found: list[RequestMove] = []
    for key in now.keys() & before.keys():
        found += _moves(key, now[key], before[key], requests_min)
    found.sort(key=lambda one: (-abs(math.log(one.factor)), one.service, one.route, one.what))
    return found[:MOVES_MAX]


def _numbers(buckets: list[dict[float, float]], failed: list[float], window_ms: int) -> list[Numbers]:
    if not buckets:
        return []
    bounds = np.array([bound for own in buckets for bound in sorted(own)], np.float64)
    counts = np.array([own[bound] for own in buckets for bound in sorted(own)], np.float64)
    starts = np.cumsum([0, *map(len, buckets)], dtype=np.int64)
    quantiles = np.array(list(QUANTILES.values()), np.float64)
    values = np.repeat(counts[:, None], len(quantiles), axis=1)  # each quantile as a step of its own
    order, present = np.arange(len(bounds), dtype=np.int64), np.ones(values.shape, np.uint8)
    found, there, _ = bucket_quantiles(order, starts, bounds, values, present, quantiles)
    result = []
    for place, own in enumerate(buckets):
        known = {
            name: float(value) if has and math.isfinite(value) else None
            for name, value, has in zip(QUANTILES, found[place], there[place], strict=True)
        }
        top = max((bound for bound in own if math.isfinite(bound)), default=math.inf)
        ends = tuple(name for name, value in known.items() if value is not None and value >= top)
        requests, errors = own[math.inf], min(failed[place], own[math.inf])
        rate = requests * SECOND_MS / window_ms
        quantiles_of = known["p50"], known["p95"], known["p99"]
        result.append(Numbers(requests, rate, errors, errors / requests, *quantiles_of, open_ended=ends))
    return result


def _moves(key: Key, now: Numbers, before: Numbers, requests_min: int) -> list[RequestMove]:
    found = []
    fewest = min(now.requests, before.requests)
    for what in MOVED:
        after, was = getattr(now, what), getattr(before, what)
        if not after or not was or fewest * (1 - QUANTILES[what]) < BEYOND_MIN or what in before.open_ended:
            continue
        if max(after / was, was / after) >= FACTOR_MIN and abs(after - was) >= DURATION_MIN:
            found.append(RequestMove(*key, what, was, after, after / was, what in now.open_ended))
    if fewest >= requests_min and _deviations(now, before) >= DEVIATIONS_MIN:
        after, was = ((one.errors + 1) / (one.requests + 2) for one in (now, before))
        found.append(RequestMove(*key, "error_ratio", before.error_ratio or 0.0, now.error_ratio or 0.0, after / was))
    return found


def _deviations(now: Numbers, before: Numbers) -> float:
    """The distance of two shares of errors in standard deviations."""
    requests, errors = now.requests + before.requests, now.errors + before.errors
    share = errors / requests
    variance = share * (1 - share) * (1 / now.requests + 1 / before.requests)
    apart = abs(now.errors / now.requests - before.errors / before.requests)
    return apart / math.sqrt(variance) if variance > 0 else 0.0
