"""Rate limits of requests: of each user or token, by role and scope (``api.rate_limits``), in any minute.

loopback    counted by address, as there are no users
ingest      not counted: senders have limits of their own (``safeguards.rate_limits``)
"""

import math
from collections.abc import Callable
from typing import Final

import msgspec
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import Scope as AsgiScope

from nissa.access.roles import Principal, Scope, Via
from nissa.api.forwarded import neighbourhood
from nissa.config.access import RatesByRole
from nissa.model.units import SECOND_MS

MINUTE_S: Final = 60


class RequestLimits:
    """Counts of requests in the last minute. Lives on the loop."""

    def __init__(self, rates: RatesByRole, now_ms: Callable[[], int]) -> None:
        """now_ms: wall clock, Unix milliseconds."""
        self._now_ms = now_ms
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._limits: dict[tuple[str, Scope], RateLimitItemPerMinute] = {}
        for role, own in msgspec.structs.asdict(rates).items():
            for scope in (Scope.CONTROL, Scope.QUERY, Scope.STREAM):
                per_minute = getattr(own, f"{scope}_per_minute")
                if per_minute:
                    self._limits[role, scope] = RateLimitItemPerMinute(per_minute)

    def wait_s(self, principal: Principal, wanted: Scope, scope: AsgiScope) -> int:
        """Count a request. Returns: 0, or seconds to wait where it is one too many."""
        at_home = principal.via is Via.LOOPBACK
        limit = self._limits.get(("loopback" if at_home else principal.role.word, wanted))
        if limit is None:
            return 0
        key = neighbourhood(scope) if at_home else f"{principal.via}:{principal.name}"
        if self._limiter.hit(limit, wanted, key):
            return 0
        reset_s = self._limiter.get_window_stats(limit, wanted, key).reset_time
        return min(max(math.ceil(reset_s - self._now_ms() / SECOND_MS), 1), MINUTE_S)
