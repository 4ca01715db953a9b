"""Deduplication maps of packets and requests, one each for events, metrics and alerts.

    (source, packet id)   ──┐ keyed 128-bit hash      event   1 h
    (epoch, request id)   ──┴──────────────────►      metric  2 h      ──► LSN of the frame that brought it first
                                                      alert  24 h

A redelivered packet is recognised by its key, over any bus, until the key expires. The key of a request gives the
position of its data in the journal. Keys of packets and of requests are in separate name spaces.

Time is given, in milliseconds of a monotonic clock (in the engine: ``FrameClock``). Expired entries are dead at once; a
cleanup frees their memory every ``cleanup_interval_ms``, in slices, so that the engine thread is not blocked. One
thread writes; counts may be read from any.

A checkpoint records when an entry was stored, not when it expires, so that changed settings also apply to existing
entries.
"""

from collections.abc import Mapping
from enum import Enum

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.batch import Batch
from nissa._fast.dedup_keys import dedup_packets
from nissa._fast.ttl import TtlMap
from nissa._fast.ttl_run import EntryRun
from nissa.config.tree import Ttl
from nissa.model.columns import DedupKeyColumns


class CacheType(Enum):
    """Kind of an entry, which decides its time to live."""

    EVENT = "event"
    METRIC = "metric"
    ALERT = "alert"


class Stored(msgspec.Struct, frozen=True):
    """An entry. lsn: of the frame that brought it. expires_ms: on the clock that was given."""

    lsn: int
    expires_ms: int


class CleanupStatistics(msgspec.Struct, frozen=True):
    """Number of entries dropped, by one cleanup or by all."""

    events_cleaned: int = 0
    metrics_cleaned: int = 0
    alerts_cleaned: int = 0

    @property
    def total_cleaned(self) -> int:
        """Entries cleaned from all maps."""
        return self.events_cleaned + self.metrics_cleaned + self.alerts_cleaned


class FrozenMaps(msgspec.Struct, frozen=True):
    """The ends of all three lines as they were at one moment, by kind, with how long entries live."""

    runs: dict[str, EntryRun]
    ttl_ms: dict[str, int]

    def forget_above(self, lsn: int) -> None:
        """Leave out keys of frames above ``lsn``: before the maps forget them, and on their thread."""
        for run in self.runs.values():
            run.forget_above(lsn)

    def held(self) -> dict[str, int]:
        """Number of live entries at the end of each kind's FIFO."""
        return {kind: run.held for kind, run in self.runs.items()}

    def columns(self) -> dict[str, DedupKeyColumns]:
        """Stored keys by kind, oldest first. Safe on any thread while the maps change."""
        found = {}
        for kind, run in self.runs.items():
            keys, lsns, expires_ms = run.columns()
            found[kind] = DedupKeyColumns(keys, lsns, expires_ms - self.ttl_ms[kind])
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
        return dedup_packets(batch, events, metrics, alerts, lsn, now_ms, *self._ttl_ms)

    def get(self, cache_type: CacheType, key: tuple[int, int], now_ms: int) -> Stored | None:
        """Return the entry of a key, or None if there is none or it has expired.

        cache_type: the map. key: two 64-bit halves (``dedup_keys.key_of_request``). now_ms: time of the frames, Unix
        milliseconds.
        """
        found = self._maps[cache_type].get(*key, now_ms)
        return None if found is None else Stored(*found)

    def forget_above(self, lsn: int) -> None:
        """Forget keys of frames above ``lsn``: the frames are lost, and their senders will send them again."""
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
        """True if a cleanup is under way: ``cleanup_expired_entries`` wants to be called again soon."""
        return bool(self._waiting)

    def counts(self) -> dict[str, int]:
        """Number of entries in each map, by kind."""
        return {kind.value: held.count for kind, held in self._maps.items()}

    def freeze(self, above_lsn: int = 0) -> "FrozenMaps":
        """Entries of frames above ``above_lsn``, for a checkpoint. Takes a few microseconds."""
        runs = {kind.value: held.freeze(above_lsn) for kind, held in self._maps.items()}
        return FrozenMaps(runs, dict(zip(runs, self._ttl_ms, strict=True)))

    def restore(self, entries: Mapping[str, DedupKeyColumns], now_ms: int) -> None:
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
