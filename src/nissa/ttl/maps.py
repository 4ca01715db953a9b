"""The maps that remember packets and requests for a while: one each for events, metrics and alerts.

    (source, packet id)   ──┐ keyed 128-bit hash      event   1 h
    (epoch, request id)   ──┴──────────────────►      metric  2 h      ──► LSN of the frame that brought it
                                                      alert  24 h

A packet that comes again within its time is known by its key, whatever bus delivered it twice. A request's key answers
where its data stands in the journal. Keys of packets and of requests never meet: each has a name space of its own.

Time is given, in milliseconds of a monotonic clock (in the engine: ``FrameClock``). Expired entries are dead at once;
a cleanup gives their memory back every ``cleanup_interval_ms``, in slices, so that whoever calls is free in between.
One thread.
"""

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.packet_keys import Keys
from nissa._fast.ttl import TtlMap
from nissa.model.columns import TextColumn
from nissa.model.units import HOUR_MS, MINUTE_MS

KeyColumn = npt.NDArray[np.uint64]  # (n, 2)
LsnColumn = npt.NDArray[np.uint64]

EPOCH_MAX = 2**64 - 1


class CacheType(Enum):
    """What an entry is about. It decides how long it is remembered."""

    EVENT = "event"
    METRIC = "metric"
    ALERT = "alert"


class TtlSettings(msgspec.Struct, frozen=True):
    """Life times and limits. entries_max: of each map; one more and the oldest is forgotten."""

    event_ttl_ms: int = HOUR_MS
    metric_ttl_ms: int = 2 * HOUR_MS
    alert_ttl_ms: int = 24 * HOUR_MS
    cleanup_interval_ms: int = 5 * MINUTE_MS
    cleanup_slice_entries: int = 10_000
    entries_max: int = 1_000_000


class Stored(msgspec.Struct, frozen=True):
    """An entry. lsn: of the frame that brought it. expires_ms: on the clock that was given."""

    lsn: int
    expires_ms: int


class CleanupStatistics(msgspec.Struct, frozen=True):
    """How many entries one cleanup dropped."""

    events_cleaned: int
    metrics_cleaned: int
    alerts_cleaned: int

    @property
    def total_cleaned(self) -> int:
        """Of all maps."""
        return self.events_cleaned + self.metrics_cleaned + self.alerts_cleaned


class TtlMaps:
    """All three maps and their cleanup."""

    def __init__(self, secret: bytes, settings: TtlSettings = TtlSettings()) -> None:  # noqa: B008  a frozen value
        """secret: at least 32 bytes, of the data directory."""
        self.settings = settings
        self.total_entries_cleaned = 0
        self.cleanup_operations = 0
        self._keys = Keys(secret)
        self._maps = {kind: TtlMap(settings.entries_max) for kind in CacheType}
        self._ttl_ms = {
            CacheType.EVENT: settings.event_ttl_ms,
            CacheType.METRIC: settings.metric_ttl_ms,
            CacheType.ALERT: settings.alert_ttl_ms,
        }
        self._next_cleanup_ms: int | None = None
        self._waiting: list[CacheType] = []  # maps that the cleanup under way has still to visit
        self._cleaned = dict.fromkeys(CacheType, 0)

    def store_with_ttl(
        self,
        cache_type: CacheType,
        epoch: int,
        request_id: str,
        lsn: int,
        now_ms: int,
        custom_ttl_ms: int | None = None,
    ) -> None:
        """Remember that the frame ``lsn`` brought this request, in place of what was stored of it.

        custom_ttl_ms: how long, at least 1; None for the map's own.
        """
        ttl_ms = self._ttl_ms[cache_type] if custom_ttl_ms is None else custom_ttl_ms
        if ttl_ms < 1:
            raise ValueError(f"custom_ttl_ms: expected at least 1, got {custom_ttl_ms}")
        lsns = np.array([lsn], np.uint64)
        self._maps[cache_type].store_all(self.request_key(epoch, request_id), lsns, now_ms, now_ms + ttl_ms)

    def get(self, cache_type: CacheType, epoch: int, request_id: str, now_ms: int) -> Stored | None:
        """What is remembered of a request, or None."""
        low, high = self.request_key(epoch, request_id)[0].tolist()
        found = self._maps[cache_type].get(low, high, now_ms)
        return None if found is None else Stored(*found)

    def claim(self, cache_type: CacheType, keys: KeyColumn, lsn: int, now_ms: int) -> LsnColumn:
        """Remember keys that are not known as brought by the frame ``lsn`` (not 0).

        Returns: uint64 (n,), 0 for a key that was not known, else the LSN it came with before; ``lsn`` itself for one
        that is twice among ``keys``.
        """
        return self._maps[cache_type].claim_all(keys, lsn, now_ms, now_ms + self._ttl_ms[cache_type])

    def look_up(self, cache_type: CacheType, keys: KeyColumn, now_ms: int) -> LsnColumn:
        """The LSN of each key, 0 where it is not known."""
        return self._maps[cache_type].look_up_all(keys, now_ms)

    def request_key(self, epoch: int, request_id: str) -> KeyColumn:
        """The key of a request."""
        if not 0 <= epoch <= EPOCH_MAX:
            raise ValueError(f"epoch: expected 0 to {EPOCH_MAX}, got {epoch}")
        return self._keys.of_request(epoch, request_id.encode())

    def packet_keys(self, sources: TextColumn, packet_ids: TextColumn) -> KeyColumn:
        """Keys of packets. Packets without an id have none of their own: leave them out."""
        offsets = (sources.offsets.astype(np.int64), packet_ids.offsets.astype(np.int64))
        return self._keys.of_packets(offsets[0], sources.data, offsets[1], packet_ids.data)

    def clean(self, now_ms: int) -> CleanupStatistics | None:
        """One slice of a cleanup, if one is due or under way; its statistics with the last slice, else None."""
        if not self._waiting and not self._begin(now_ms):
            return None
        kind = self._waiting[0]
        dropped, finished = self._maps[kind].sweep(now_ms, self.settings.cleanup_slice_entries)
        self._cleaned[kind] += dropped
        if finished:
            self._waiting.pop(0)
        return None if self._waiting else self._finish()

    @property
    def cleaning(self) -> bool:
        """Whether a cleanup is under way: ``clean`` wants to be called again soon."""
        return bool(self._waiting)

    def entries(self, cache_type: CacheType, above_lsn: int = 0) -> tuple[KeyColumn, LsnColumn, npt.NDArray[np.int64]]:
        """Keys, LSNs and expiries stored with an LSN above ``above_lsn``, oldest first: what a checkpoint keeps."""
        return self._maps[cache_type].entries(above_lsn)

    def restore(
        self, cache_type: CacheType, keys: KeyColumn, lsns: Sequence[int], expires_ms: Sequence[int], now_ms: int
    ) -> None:
        """Store entries that a checkpoint kept, in its order."""
        into = self._maps[cache_type]
        column = np.asarray(lsns, np.uint64)
        expiries = np.asarray(expires_ms, np.int64)
        bounds = [0, *(np.flatnonzero(np.diff(expiries)) + 1).tolist(), len(expiries)]
        for start, end in pairwise(bounds):  # runs of one expiry: a frame each
            into.store_all(keys[start:end], column[start:end], now_ms, int(expiries[end - 1]) if end else 0)

    def status(self) -> dict[str, int]:
        """Figures for ``/api/status`` and metrics."""
        counts = {f"{kind.value}_entries": held.count for kind, held in self._maps.items()}
        return counts | {
            "entries_max": self.settings.entries_max,
            "evicted_total": sum(held.evicted_total for held in self._maps.values()),
            "memory_bytes": sum(held.memory_bytes for held in self._maps.values()),
            "total_entries_cleaned": self.total_entries_cleaned,
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
        self._cleaned = dict.fromkeys(CacheType, 0)
        return True

    def _finish(self) -> CleanupStatistics:
        events, metrics, alerts = (self._cleaned[kind] for kind in CacheType)
        statistics = CleanupStatistics(events, metrics, alerts)
        self.total_entries_cleaned += statistics.total_cleaned
        self.cleanup_operations += 1
        return statistics
