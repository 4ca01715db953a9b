"""Rate limits by source and by tenant: token buckets that are paid after the fact.

    bucket     +rate per second, up to rate × burst           −what a frame brought, once it is decoded
    admitted   while there is more than nothing in it         so nothing is decoded twice for its count

A frame may overdraw its bucket once; the next ones wait until the debt is paid off, so that the rate holds on average.
A rule names a source, a tenant, or both; ``*`` stands for each one by itself. Frames without a tenant fall under no
rule that names one.

The number of tenants followed is bounded. A bucket that is full again is forgotten when there is no room for a new one;
where none is full, further tenants share one bucket for each rule.

The current time is an argument, in milliseconds of a monotonic clock. Everything belongs to one thread.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from nissa.config.safeguards import RateLimit, RateLimits
from nissa.model.errors import RateLimited
from nissa.model.receipt import Receipt
from nissa.model.units import HOUR_MS, SECOND_MS

EACH: Final = "*"
OTHERS: Final = "(others)"
KINDS: Final = ("samples", "events", "new series")


class RateBucket:
    """Tokens of one rule for one source and tenant: samples, events and new series."""

    def __init__(self, rule: RateLimit, setting: str, name: str, now_ms: int) -> None:
        """setting: path of the rule. name: of the source or tenant, in words."""
        seconds = rule.burst_ms / SECOND_MS
        self._rates_ms = (
            rule.samples_per_second / SECOND_MS,
            rule.events_per_second / SECOND_MS,
            rule.new_series_per_hour / HOUR_MS,
        )
        self._burst = (
            rule.samples_per_second * seconds,
            rule.events_per_second * seconds,
            float(rule.new_series_per_hour),
        )
        self._tokens = list(self._burst)
        self._at_ms = now_ms
        self._setting, self._name = setting, name

    def refusal(self, now_ms: int) -> RateLimited | None:
        """The refusal of a frame, with the time until the bucket has tokens again; None where it is admitted."""
        self._fill(now_ms)
        for kind, rate, tokens in zip(KINDS, self._rates_ms, self._tokens, strict=True):
            if rate and tokens <= 0:
                hourly = kind == KINDS[2]
                per = f"{rate * (HOUR_MS if hourly else SECOND_MS):.0f} {kind} per {'hour' if hourly else 'second'}"
                wait_s = max(-(-int(-tokens / rate) // SECOND_MS), 1)
                return RateLimited(f"{self._name} is over its limit of {per} ({self._setting})", wait_s)
        return None

    def charge(self, receipt: Receipt, now_ms: int) -> None:
        """Pay for the records of a frame, stored or refused."""
        self._fill(now_ms)
        refused = receipt.refused_count
        self._tokens[0] -= receipt.samples + receipt.histograms + receipt.exemplars + refused
        self._tokens[1] -= receipt.events
        self._tokens[2] -= receipt.series_new

    def is_full(self, now_ms: int) -> bool:
        """True where forgetting the bucket changes nothing."""
        self._fill(now_ms)
        return all(tokens >= burst for tokens, burst in zip(self._tokens, self._burst, strict=True))

    def _fill(self, now_ms: int) -> None:
        passed_ms, self._at_ms = max(now_ms - self._at_ms, 0), max(now_ms, self._at_ms)
        for at, rate in enumerate(self._rates_ms):
            self._tokens[at] = min(self._tokens[at] + rate * passed_ms, self._burst[at])


NO_BUCKETS: Final[tuple[RateBucket, ...]] = ()


class RateLimiter:
    """All buckets of the process."""

    def __init__(self, settings: RateLimits) -> None:
        self._rules = settings.rules
        self._tenants_max = settings.tenants_max
        self._buckets: OrderedDict[tuple[int, str, str], RateBucket] = OrderedDict()

    def buckets(self, source: str, tenant: str, now_ms: int) -> Sequence[RateBucket]:
        """Buckets that a frame of this source and tenant pays from. tenant: empty for none."""
        if not self._rules:
            return NO_BUCKETS
        found = []
        for number, rule in enumerate(self._rules):
            if rule.source not in ("", EACH, source) or (rule.tenant and not tenant):
                continue
            if rule.tenant not in ("", EACH, tenant):
                continue
            key = number, source if rule.source else "", tenant if rule.tenant else ""
            found.append(self._bucket(key, rule, now_ms))
        return found

    def facts(self) -> dict[str, int]:
        """Number of rules, and of buckets in memory."""
        return {"rules": len(self._rules), "buckets": len(self._buckets)}

    def _bucket(self, key: tuple[int, str, str], rule: RateLimit, now_ms: int) -> RateBucket:
        bucket = self._buckets.get(key)
        if bucket is not None:
            self._buckets.move_to_end(key)
            return bucket
        if key[2] and len(self._buckets) >= self._tenants_max:
            oldest = next(iter(self._buckets))
            if self._buckets[oldest].is_full(now_ms):
                del self._buckets[oldest]
            else:
                key = key[0], key[1], OTHERS
                if key in self._buckets:
                    return self._buckets[key]
        words = [f"source {key[1]}"] if key[1] else []
        words += [f"tenant {key[2]}"] if key[2] else []
        setting = f"safeguards.rate_limits.rules[{key[0]}]"
        bucket = self._buckets[key] = RateBucket(rule, setting, " of ".join(words) or "everything together", now_ms)
        return bucket


def first_refusal(buckets: Sequence[RateBucket], now_ms: int) -> RateLimited | None:
    """The refusal of the first bucket that has no tokens; None where all have some."""
    for bucket in buckets:
        refusal = bucket.refusal(now_ms)
        if refusal is not None:
            return refusal
    return None
