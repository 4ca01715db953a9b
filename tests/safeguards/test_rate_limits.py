"""Rate limits: what passes on average is the rate, by source and by tenant, with bounded memory."""

import pytest

from nissa.config.load import load_config
from nissa.config.safeguards import RateLimit, RateLimits
from nissa.model.receipt import Receipt
from nissa.safeguards.rate_limits import NO_BUCKETS, RateLimiter, first_refusal

WRITE = "http/remote_write_1"


def passed(limiter: RateLimiter, receipt: Receipt, seconds: int, tenant: str = "", source: str = WRITE) -> int:
    """Frames admitted of one that is tried every 10 ms."""
    count = 0
    for now_ms in range(0, seconds * 1_000, 10):
        buckets = limiter.buckets(source, tenant, now_ms)
        if first_refusal(buckets, now_ms) is None:
            count += 1
            for bucket in buckets:
                bucket.charge(receipt, now_ms)
    return count


@pytest.mark.parametrize(
    ("rule", "receipt"),
    [
        (RateLimit(samples_per_second=100), Receipt(samples=40, exemplars=5, refused={"too_old": 5})),
        (RateLimit(events_per_second=10, source=WRITE), Receipt(samples=1_000, events=5)),
        (RateLimit(new_series_per_hour=7_200, burst_ms=3_600_000), Receipt(series_new=1, samples=9)),
    ],
)
def test_the_rate_holds_on_average(rule: RateLimit, receipt: Receipt) -> None:
    """Two frames a second, after a burst that is spent at once."""
    count = passed(RateLimiter(RateLimits(rules=(rule,))), receipt, 3_600 if rule.new_series_per_hour else 100)
    expected = 2 * 3_600 + 7_200 if rule.new_series_per_hour else 2 * 100 + 20
    assert abs(count - expected) <= 2


def test_a_refusal_names_the_rule_and_the_time() -> None:
    """One large frame is admitted; the next waits until it is paid for."""
    limiter = RateLimiter(RateLimits(rules=(RateLimit(source="*", tenant="*", samples_per_second=100),)))
    (bucket,) = limiter.buckets(WRITE, "team-a", 0)
    assert bucket.refusal(0) is None
    bucket.charge(Receipt(samples=1_450), 0)
    refusal = bucket.refusal(0)
    assert refusal is not None
    assert refusal.retry_after_s == 5
    words = (
        f"source {WRITE} of tenant team-a is over its limit of 100 samples per second (safeguards.rate_limits.rules[0])"
    )
    assert words in str(refusal)
    assert bucket.refusal(4_500) is not None
    assert bucket.refusal(4_600) is None


def test_tenants_do_not_share_and_sources_are_apart() -> None:
    """A tenant that sends too much does not harm another one; frames without a tenant are under no rule of tenants."""
    rules = (RateLimit(tenant="*", samples_per_second=10), RateLimit(source="oona/leyline_bus", samples_per_second=10))
    limiter = RateLimiter(RateLimits(rules=rules))
    for _ in range(2):
        for bucket in limiter.buckets(WRITE, "a", 0):
            bucket.charge(Receipt(samples=1_000), 0)
    assert first_refusal(limiter.buckets(WRITE, "a", 0), 0) is not None
    assert first_refusal(limiter.buckets(WRITE, "b", 0), 0) is None
    assert limiter.buckets(WRITE, "", 0) == []
    assert len(limiter.buckets("oona/leyline_bus", "a", 0)) == 2
    assert RateLimiter(RateLimits()).buckets(WRITE, "a", 0) is NO_BUCKETS


def test_tenants_in_memory_are_bounded() -> None:
    """A bucket that is full again makes room; where none is, further tenants share one."""
    limiter = RateLimiter(RateLimits(rules=(RateLimit(tenant="*", samples_per_second=10),), tenants_max=3))
    spent = [limiter.buckets(WRITE, name, 0)[0] for name in "abc"]
    for bucket in spent:
        bucket.charge(Receipt(samples=50), 0)
    shared = {id(limiter.buckets(WRITE, f"t{number}", 0)[0]) for number in range(1_000)}
    assert len(shared) == 1
    assert limiter.facts() == {"rules": 1, "buckets": 4}
    assert id(limiter.buckets(WRITE, "late", 3_600_000)[0]) not in shared
    assert limiter.facts() == {"rules": 1, "buckets": 4}


def test_rules_are_settings() -> None:
    """A list in the file, with bounds, and the path of the entry in the message."""
    rules = [{"tenant": "*", "samples_per_second": 5_000, "burst": "1m"}]
    config = load_config(None, {}, {"safeguards.rate_limits.rules": str(rules).replace("'", '"')})
    assert config.safeguards.rate_limits.rules == (RateLimit(tenant="*", samples_per_second=5_000, burst_ms=60_000),)
