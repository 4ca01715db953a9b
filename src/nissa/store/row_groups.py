"""Cache of decoded row groups for queries.

    block 7, group 3   ids         12    13    17          one entry: 12 bytes per row, 8 per series
                       starts      0     240   480   720
                       offsets_ms  ▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮       the rows of a series lie together,
                       value       ▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮▮       those of some are copied out of it

Blocks never change and their ids are never reused, so an entry never becomes stale. It is evicted when its block is
removed; when room is needed, the one asked for longest ago of a few taken by chance. Dashboards and rules read the same
row groups in turn, again and again: of such a round that is slightly larger than the cache, the one asked for longest
ago of all would always be the next that is needed. A query that reads more than the cache holds bypasses it. All
queries of a directory share one cache: exports, windows, PromQL.
"""

import random
import threading
from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np

from nissa._fast.row_groups import RowGroup
from nissa.model.columns import SeriesColumn, TimeColumn, ValueColumn
from nissa.model.units import KIB

ENTRY_BYTES = KIB  # of an entry beside its columns
ROW_BYTES = 12
SPAN_MS_MAX = 2**32 - 1  # between the first and the last row of an entry: 49 days
CANDIDATES = 3  # for eviction: more find old entries sooner, fewer keep more of a round that does not fit
NOTHING = np.empty(0, np.uint32)


def row_group(series: SeriesColumn, ts_ms: TimeColumn, value: ValueColumn) -> RowGroup:
    """The rows of a row group in the form that the cache keeps.

    series: ids, ascending. ts_ms: Unix milliseconds, ascending per series, at most ``SPAN_MS_MAX`` apart. value:
    float64. All of equal length.
    """
    firsts = np.flatnonzero(series[1:] != series[:-1]) + 1 if len(series) else NOTHING
    starts = np.empty(len(firsts) + 2 if len(series) else 1, np.uint32)
    starts[0], starts[1:-1], starts[-1] = 0, firsts, len(series)
    base_ms = int(ts_ms.min()) if len(ts_ms) else 0
    return RowGroup(series[starts[:-1]], starts, base_ms, (ts_ms - base_ms).astype(np.uint32), value)


NO_ROWS: Final = row_group(NOTHING, np.empty(0, np.int64), np.empty(0))


class RowGroupCache:
    """Row groups by block and number, up to so many bytes. Safe from any thread."""

    def __init__(self, bytes_max: int, seed: int = 0) -> None:
        """bytes_max: 0 for a cache that keeps nothing. seed: of the candidates for eviction."""
        self.bytes_max = bytes_max
        self._lock = threading.Lock()
        self._chance = random.Random(seed)  # noqa: S311 - chooses candidates; guards no secret
        self._entries: dict[tuple[int, int], RowGroup] = {}
        self._keys: list[tuple[int, int]] = []  # those of the entries, in no order
        self._places: dict[tuple[int, int], int] = {}  # of the keys in it
        self._asked: dict[tuple[int, int], int] = {}  # the look-up that asked for it last
        self._groups: dict[int, set[int]] = {}  # by block
        self._bytes = self._hits = self._misses = 0

    def find(self, block_id: int, groups: Sequence[int]) -> list[RowGroup | None]:
        """The row groups of a block, each where it is kept."""
        with self._lock:
            found = [self._entries.get((block_id, group)) for group in groups]
            missed = found.count(None)
            self._misses += missed
            self._hits += len(found) - missed
            asked = self._hits + self._misses
            self._asked.update(
                {(block_id, group): asked for group, rows in zip(groups, found, strict=True) if rows is not None}
            )
            return found

    def keep(self, block_id: int, group: int, rows: RowGroup) -> None:
        """Store a row group and evict others if room is needed. One larger than the cache is not stored.

        block_id: of its block. group: its index. rows: the entry.
        """
        key, weight = (block_id, group), rows.nbytes + ENTRY_BYTES
        with self._lock:
            if weight > self.bytes_max or key in self._entries:
                return
            while self._bytes + weight > self.bytes_max:
                self._remove(min(self._chance.choices(self._keys, k=CANDIDATES), key=self._asked.__getitem__))
            self._entries[key] = rows
            self._asked[key] = self._hits + self._misses
            self._places[key] = len(self._keys)
            self._keys.append(key)
            self._groups.setdefault(block_id, set()).add(group)
            self._bytes += weight

    def keep_only(self, block_ids: Collection[int]) -> None:
        """Drop the row groups of all other blocks: these are the ones there are."""
        with self._lock:
            for block_id in self._groups.keys() - set(block_ids):
                for group in list(self._groups[block_id]):
                    self._remove((block_id, group))

    def facts(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and the metrics."""
        with self._lock:
            return {"hits": self._hits, "misses": self._misses, "bytes": self._bytes, "entries": len(self._entries)}

    def _remove(self, key: tuple[int, int]) -> None:
        block_id, group = key
        self._bytes -= self._entries.pop(key).nbytes + ENTRY_BYTES
        del self._asked[key]
        place, last = self._places.pop(key), self._keys.pop()
        if last != key:
            self._keys[place] = last
            self._places[last] = place
        groups = self._groups[block_id]
        groups.discard(group)
        if not groups:
            del self._groups[block_id]
