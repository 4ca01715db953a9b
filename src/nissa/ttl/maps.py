"""The maps that remember packets and requests for a while: one each for events, metrics and alerts.

    (source, packet id)   ──┐ keyed 128-bit hash      event   1 h
    (epoch, request id)   ──┴──────────────────►      metric  2 h      ──► LSN of the frame that brought it first
                                                      alert  24 h

A packet that comes again within its time is known by its key, whatever bus delivered it twice. A request's key answers
where its data stands in the journal. Keys of packets and of requests never meet: each has a name space of its own.

Time is given, in milliseconds of a monotonic clock (in the engine: ``FrameClock``). Expired entries are dead at once;
a cleanup gives their memory back every ``cleanup_interval_ms``, in slices, so that whoever calls is free in between.
One thread; figures may be read from any.

What a checkpoint keeps of an entry is when it was stored, not when it expires, so that other life times hold for what
is remembered already.
"""

from collections.abc import Mapping
from enum import Enum

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.batch import Batch
from nissa._fast.claims import claim_packets
from nissa._fast.ttl import TtlMap
from nissa._fast.ttl_run import EntryRun
from nissa.config.tree import Ttl
from nissa.model.columns import ClaimColumns


class CacheType(Enum):
    """What an entry is about. It decides how long it is remembered."""

    EVENT = "event"
    METRIC = "metric"
    ALERT = "alert"


class Stored(msgspec.Struct, frozen=True):
    """An entry. lsn: of the frame that brought it. expires_ms: on the clock that was given."""

    lsn: int
    expires_ms: int


class CleanupStatistics(msgspec.Struct, frozen=True):
    """How many entries were dropped, by one cleanup or by all of them."""

    events_cleaned: int = 0
    metrics_cleaned: int = 0
    alerts_cleaned: int = 0

    @property
    def total_cleaned(self) -> int:
        """Of all maps."""
        return self.events_cleaned + self.metrics_cleaned + self.alerts_cleaned


class FrozenMaps(msgspec.Struct, frozen=True):
    """The ends of all three lines as they were at one moment, by kind, with how long entries live."""

    runs: dict[str, EntryRun]
    ttl_ms: dict[str, int]

    def forget_above(self, lsn: int) -> None:
        """Leave out what frames above ``lsn`` brought: before the maps forget it, and on their thread."""
        for run in self.runs.values():
            run.forget_above(lsn)

    def held(self) -> dict[str, int]:
        """How many of the last entries of each kind are remembered."""
        return {kind: run.held for kind, run in self.runs.items()}

    def columns(self) -> dict[str, ClaimColumns]:
        """What was stored, by kind, oldest first. On any thread, while the maps go on."""
        found = {}
        for kind, run in self.runs.items():
            keys, lsns, expires_ms = run.columns()
            found[kind] = ClaimColumns(keys, lsns, expires_ms - self.ttl_ms[kind])
        return found


class TtlMaps:
    """All three maps and their cleanup."""

    def __init__(self, settings: Ttl) -> None:
        self.settings = settings
        self.cleaned = CleanupStatistics()  # by all cleanups
        self.cleanup_operations = 0
        self._maps = {kind: TtlMap(settings.entries_max) for kind in CacheType}
        self._in_order = tuple(self._maps.values())
        self._ttl_ms = (settings.event_ttl_ms, settings.metric_ttl_ms, settings.alert_ttl_ms)
        self._next_cleanup_ms: int | None = None
        self._waiting: list[CacheType] = []  # maps that the cleanup under way has still to visit
        self._dropped = dict.fromkeys(CacheType, 0)

    def store_with_ttl(self, batch: Batch, lsn: int, now_ms: int) -> npt.NDArray[np.uint8] | None:
        """Remember the packets and requests of the decoded frame ``lsn``; rows of known packets leave the batch.

        Returns: None where nothing came before, else uint8 (events,), 1 for each event of a packet that did.
        """
        events, metrics, alerts = self._in_order
        return claim_packets(batch, events, metrics, alerts, lsn, now_ms, *self._ttl_ms)

    def get(self, cache_type: CacheType, key: tuple[int, int], now_ms: int) -> Stored | None:
        """What is remembered of a key (``claims.key_of_request``), or None."""
        found = self._maps[cache_type].get(*key, now_ms)
        return None if found is None else Stored(*found)

    def forget_above(self, lsn: int) -> None:
        """Forget what frames above ``lsn`` brought: they are lost, and their senders will send them again."""
        for held in self._maps.values():
            held.forget_above(lsn)

    def cleanup_expired_entries(self, now_ms: int) -> CleanupStatistics | None:
        """One slice of a cleanup, if one is due or under way; its statistics with the last slice, else None."""
        if not self._waiting and not self._begin(now_ms):
            return None
        kind = self._waiting[0]
        dropped, finished = self._maps[kind].sweep(now_ms, self.settings.cleanup_slice_entries)
        self._dropped[kind] += dropped
        if finished:
            self._waiting.pop(0)
        return None if self._waiting else self._finish()

    @property
    def cleaning(self) -> bool:
        """Whether a cleanup is under way: ``cleanup_expired_entries`` wants to be called again soon."""
        return bool(self._waiting)

    def counts(self) -> dict[str, int]:
        """How many entries each map holds, by kind."""
        return {kind.value: held.count for kind, held in self._maps.items()}

    def freeze(self, above_lsn: int = 0) -> "FrozenMaps":
        """What frames above ``above_lsn`` brought: what a checkpoint keeps. A few microseconds."""
        runs = {kind.value: held.freeze(above_lsn) for kind, held in self._maps.items()}
        return FrozenMaps(runs, dict(zip(runs, self._ttl_ms, strict=True)))

    def restore(self, entries: Mapping[str, ClaimColumns], now_ms: int) -> None:
        """Store entries that checkpoints kept, in their order. Raises: ValueError where they are in none."""
        for (kind, held), ttl_ms in zip(self._maps.items(), self._ttl_ms, strict=True):
            kept = entries.get(kind.value)
            if kept is not None and ttl_ms:
                held.restore_all(kept.keys, kept.lsns, kept.stored_ms + ttl_ms, now_ms)

    def status(self) -> dict[str, object]:
        """Figures for ``/api/status`` and metrics."""
        return {
            "entries": self.counts(),
            "entries_max": self.settings.entries_max,
            "evicted_total": sum(held.evicted_total for held in self._maps.values()),
            "memory_bytes": sum(held.memory_bytes for held in self._maps.values()),
            "cleaned": {
                "event": self.cleaned.events_cleaned,
                "metric": self.cleaned.metrics_cleaned,
                "alert": self.cleaned.alerts_cleaned,
            },
            "total_entries_cleaned": self.cleaned.total_cleaned,
            "cleanup_operations": self.cleanup_operations,
        }

    def _begin(self, now_ms: int) -> bool:
        """Begin a cleanup if it is time. The first is due an interval after the first look at the clock."""
        if self._next_cleanup_ms is None:
            self._next_cleanup_ms = now_ms + self.settings.cleanup_interval_ms
        if now_ms < self._next_cleanup_ms:
            return False
        self._next_cleanup_ms = now_ms + self.settings.cleanup_interval_ms
        self._waiting = list(CacheType)
        self._dropped = dict.fromkeys(CacheType, 0)
        return True

    def _finish(self) -> CleanupStatistics:
        events, metrics, alerts = self._dropped.values()
        before = self.cleaned
        self.cleaned = CleanupStatistics(
            before.events_cleaned + events, before.metrics_cleaned + metrics, before.alerts_cleaned + alerts
        )
        self.cleanup_operations += 1
        return CleanupStatistics(events, metrics, alerts)
