"""Limits failed logins: of a user name from one address, of an address, and of a user name from everywhere."""

from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.types import Scope as AsgiScope

from nissa.api.forwarded import neighbourhood

WIDER: Final = 10  # times as many failures for one address, or one name
NAME_CHARACTERS_MAX: Final = 100
WAIT_S: Final = 60


class LoginLimit:
    """Counts of failed logins in the last minute."""

    def __init__(self, failures_max: int) -> None:
        """failures_max: per minute, of one user name from one address."""
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._narrow = RateLimitItemPerMinute(failures_max)
        self._wide = RateLimitItemPerMinute(failures_max * WIDER)
        self._refusal = RateLimitItemPerMinute(1)

    def wait_s(self, user: str, scope: AsgiScope) -> int:
        """Seconds until another try is allowed; 0: now."""
        return 0 if all(self._limiter.test(limit, *keys) for limit, *keys in self._counted(user, scope)) else WAIT_S

    def count(self, user: str, scope: AsgiScope) -> None:
        """Count a failure."""
        for limit, *keys in self._counted(user, scope):
            self._limiter.hit(limit, *keys)

    def is_first_refusal(self, scope: AsgiScope) -> bool:
        """True once per minute and address; counts the refusal."""
        return self._limiter.hit(self._refusal, "refusal", neighbourhood(scope))

    def _counted(self, user: str, scope: AsgiScope) -> list[tuple[RateLimitItem, str, str]]:
        name, address = user[:NAME_CHARACTERS_MAX], neighbourhood(scope)
        return [
            (self._narrow, "both", f"{address} {name}"),
            (self._wide, "address", address),
            (self._wide, "name", name),
        ]
