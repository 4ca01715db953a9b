"""ReadingPace of sources that read a bus: how much they read at a time, and how long they wait between two reads."""

from collections.abc import Sequence
from typing import Final

from nissa.model.frame import Codec, Source, source_key
from nissa.model.units import SECOND_MS
from nissa.safeguards.modes import LIMITS_OF_MODE, Mode
from nissa.safeguards.pressure import Pressure
from nissa.safeguards.priority import Priority
from nissa.safeguards.rate_limits import NO_BUCKETS, RateBucket, RateLimiter

_NORMAL: Final = LIMITS_OF_MODE[Mode.NORMAL]


class ReadingPace:
    """The pace in force. Lives on the loop. reduced: a mode other than normal sets it."""

    def __init__(self, pressure: Pressure | None = None, limiter: RateLimiter | None = None) -> None:
        """pressure: of the queue that sources read into. limiter: of sources."""
        self._pressure = pressure
        self._limiter = limiter
        self.reduced = False
        self._limits = _NORMAL

    def set_mode(self, mode: Mode) -> None:
        """Take the limits of ``mode``."""
        self.reduced = mode is not Mode.NORMAL
        self._limits = LIMITS_OF_MODE[mode]

    def admits(self, priority: Priority) -> bool:
        """True while frames of this priority are admitted; a source waits until they are."""
        return self._pressure is None or self._pressure.admits(priority)

    def buckets(self, source: Source, codec: Codec, now_ms: int) -> Sequence[RateBucket]:
        """Buckets that frames of a source pay from. now_ms: monotonic."""
        if self._limiter is None:
            return NO_BUCKETS
        return self._limiter.buckets(source_key(source, codec), "", now_ms)

    def batch(self, configured_max: int) -> int:
        """Messages of the next read. configured_max: what the settings of the source allow."""
        return min(configured_max, self._limits.batch_max) if self.reduced else configured_max

    @property
    def delay_s(self) -> float:
        """Seconds to wait before the next read."""
        return self._limits.delay_ms / SECOND_MS
