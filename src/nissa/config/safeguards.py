"""Settings of the safeguards: circuit breakers, modes under load, admission by priority, rate limits."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count, duration
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


class Breakers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every circuit breaker. timeout_ms: from opening to the first probe.

    half_open_calls_max: probes that must succeed. half_open_timeout_ms: a probe without an outcome after this time
    counts as failed.
    """

    failure_threshold: Annotated[int, count(1, 1_000)] = 3
    timeout_ms: Annotated[int, duration(10, DAY_MS)] = 30 * SECOND_MS
    half_open_calls_max: Annotated[int, count(1, 100)] = 3
    half_open_timeout_ms: Annotated[int, duration(10, HOUR_MS)] = 10 * SECOND_MS


class ConservativeMode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Modes under load. Values are in percent; CPU and errors over ``window_ms``.

    half_open_breakers: a half-open circuit breaker is a trigger.
    hysteresis_percent: points below its trigger that a value must be before a mode is left. drop_categories: of events,
    while a mode other than normal is in force. query_samples_max: in place of ``api.query_samples_max``.
    remote: a mode may be forced from other machines.
    """

    cpu_percent: Annotated[int, count(1, 100)] = 80
    memory_percent: Annotated[int, count(1, 100)] = 85
    queue_percent: Annotated[int, count(1, 100)] = 90
    error_percent: Annotated[int, count(1, 100)] = 5
    half_open_breakers: bool = True
    emergency_memory_percent: Annotated[int, count(1, 100)] = 95
    emergency_error_percent: Annotated[int, count(1, 100)] = 50
    hysteresis_percent: Annotated[int, count(0, 50)] = 10
    window_ms: Annotated[int, duration(100, HOUR_MS)] = 30 * SECOND_MS
    interval_ms: Annotated[int, duration(10, MINUTE_MS)] = SECOND_MS
    dwell_ms: Annotated[int, duration(0, DAY_MS)] = 300 * SECOND_MS
    drop_categories: tuple[str, ...] = ("debug", "trace")
    query_samples_max: Annotated[int, count(1, 100_000_000_000)] = 5_000_000
    remote: bool = False


class PressureLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Share of the queue, in percent, from which on frames of each priority are refused."""

    low_percent: Annotated[int, count(1, 100)] = 50
    normal_percent: Annotated[int, count(1, 100)] = 75
    high_percent: Annotated[int, count(1, 100)] = 85
    critical_percent: Annotated[int, count(1, 100)] = 95


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. source: key of the accounting, such as ``http/remote_write_1``; tenant: value of ``X-Scope-OrgID``.

    Of both: ``*`` for each by itself, empty: the rule does not ask. Rates of 0 are unlimited. burst_ms: tokens of so
    much time may be spent at once.
    """

    source: str = ""
    tenant: str = ""
    samples_per_second: Annotated[int, count(0, 1_000_000_000)] = 0
    events_per_second: Annotated[int, count(0, 1_000_000_000)] = 0
    new_series_per_hour: Annotated[int, count(0, 1_000_000_000)] = 0
    burst_ms: Annotated[int, duration(SECOND_MS, HOUR_MS)] = 10 * SECOND_MS


class RateLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules; a frame must pass all that apply. tenants_max: buckets of tenants in memory."""

    rules: tuple[RateLimit, ...] = ()
    tenants_max: Annotated[int, count(1, 1_000_000)] = 10_000


class Safeguards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One section for each safeguard."""

    breakers: Breakers = Breakers()
    conservative_mode: ConservativeMode = ConservativeMode()
    pressure: PressureLimits = PressureLimits()
    rate_limits: RateLimits = RateLimits()
