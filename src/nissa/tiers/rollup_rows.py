"""Rows of rollups as columns, and their differences from the rows that a process wrote before. Pure.

    windows ──► Gathered ──► RollupRows ──► WrittenRows.changes ──► rows that differ, rows that are gone,
                                                                    times of which nothing is known

A flush makes the rows of the last minutes again, and most of them are as they were. They are compared as columns, so
only rows that go to the database become Python objects.
"""

import hashlib
import math
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from nissa._fast.sketch import Sketch, quantiles_of
from nissa.model.errors import InvariantBroken
from nissa.model.ladder import SketchColumn, WindowBatch
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.rollup.exact import GroupedQuantiles
from nissa.rollup.windows import join_windows, take_windows

GRANULARITIES: Final = {"minute": MINUTE_MS, "hour": HOUR_MS}
PERCENTILES: Final = np.array([0.5, 0.9, 0.95, 0.99])
ADDED: Final = {"sum": np.add, "min": np.minimum, "max": np.maximum}

Places = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Span = tuple[int, int]  # half-open, Unix milliseconds


class RollupKey(msgspec.Struct, frozen=True):
    """Series that one row is made of. tags: sorted by their names."""

    service: str
    name: str
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """The key as rows have it."""
        return hashlib.sha256(orjson.dumps([self.service, self.name, self.tags])).hexdigest()[:32]


class Rollup(msgspec.Struct, frozen=True):
    """A row. percentiles: p50, p90, p95 and p99; None where they are not known."""

    key: RollupKey
    bucket_ms: int
    count: int
    sum: float | None
    min: float | None
    max: float | None
    percentiles: tuple[float | None, ...] = (None, None, None, None)


class RollupRows(msgspec.Struct, frozen=True):
    """n rows, sorted by place and bucket. place: of the key of each row in ``keys``. count: of numbers.

    numbers: shape (n, 3): sum, min, max. percentiles: shape (n, 4). One NaN, where a number is not known.
    """

    keys: tuple[RollupKey, ...]
    place: Places
    bucket_ms: Places
    count: Places
    numbers: Numbers
    percentiles: Numbers

    def __len__(self) -> int:
        return len(self.place)

    def taken(self, rows: npt.NDArray[np.intp]) -> list[Rollup]:
        """Rows of these numbers."""
        columns = (
            [self.keys[place] for place in self.place[rows].tolist()],
            self.bucket_ms[rows].tolist(),
            self.count[rows].tolist(),
            *(_known(column) for column in self.numbers[rows].T),
            zip(*(_known(column) for column in self.percentiles[rows].T), strict=True),
        )
        return list(map(Rollup, *columns))


class RollupChanges(msgspec.Struct, frozen=True):
    """Changes after which the database has given rows, and no others, in a span.

    added: rows of ``unknown`` times, of which all stored rows are to be deleted. changed: rows that are new, or differ.
    gone: keys and buckets of rows that are there no more.
    """

    unknown: tuple[Span, ...]
    added: list[Rollup]
    changed: list[Rollup]
    gone: list[tuple[RollupKey, int]]


class WrittenRows:
    """Rows of one granularity that this process has written, as long as they are compared with."""

    def __init__(self, rows_max: int) -> None:
        """rows_max: further rows are not remembered, and so written again each time."""
        self._rows_max = rows_max
        self._spans: dict[Span, RollupRows] = {}

    def changes(self, rows: RollupRows, start_ms: int, end_ms: int) -> RollupChanges:
        """Changes for rows of [start_ms, end_ms)."""
        unknown, changed, gone = np.ones(len(rows), np.bool_), np.zeros(len(rows), np.bool_), []
        reached_ms, gaps = start_ms, list[Span]()
        for own, written in sorted(self._spans.items(), key=lambda item: item[0]):
            low_ms, high_ms = max(own[0], reached_ms), min(own[1], end_ms)
            if low_ms >= high_ms:
                continue
            if reached_ms < low_ms:
                gaps.append((reached_ms, low_ms))
            reached_ms = high_ms
            inside = (rows.bucket_ms >= low_ms) & (rows.bucket_ms < high_ms)
            differs, lost = _compared(rows, written, (low_ms, high_ms))
            unknown &= ~inside
            changed |= inside & differs
            gone += lost
        if reached_ms < end_ms:
            gaps.append((reached_ms, end_ms))
        added = rows.taken(np.flatnonzero(unknown)) if gaps else []
        return RollupChanges(tuple(gaps), added, rows.taken(np.flatnonzero(changed)), gone)

    def note(self, rows: RollupRows, start_ms: int, end_ms: int) -> None:
        """The database has these rows, and no others, in [start_ms, end_ms)."""
        self._spans = {own: old for own, old in self._spans.items() if own[1] <= start_ms or own[0] >= end_ms}
        if len(rows) + sum(map(len, self._spans.values())) <= self._rows_max:
            self._spans[start_ms, end_ms] = rows

    def forget_before(self, start_ms: int) -> None:
        """Rows of spans that end by this time are not written again."""
        self._spans = {own: rows for own, rows in self._spans.items() if own[1] > start_ms}

    def forget(self) -> None:
        """It is not known what the database has."""
        self._spans = {}

    @property
    def newest_ms(self) -> int:
        """The newest bucket; -1 where no row is known."""
        return max((int(rows.bucket_ms.max()) for rows in self._spans.values() if len(rows)), default=-1)


class Gathered:
    """Windows of several series, added up by key and bucket: all of them in one sort, as keys are many."""

    def __init__(self, length_ms: int) -> None:
        """length_ms: of a bucket."""
        self._length_ms = length_ms
        self._parts: list[WindowBatch] = []
        self._numbers: dict[RollupKey, int] = {}
        self._keys: list[Places] = []  # number of the key of each window of each part

    def add(self, windows: WindowBatch, named: dict[int, RollupKey]) -> None:
        """Add windows, sorted by series and start. named: the key of each series."""
        filled = take_windows(windows, np.flatnonzero(windows.count > 0))
        if not len(filled):
            return
        series, places = np.unique(filled.series, return_inverse=True)
        numbers = [self._numbers.setdefault(named[one], len(self._numbers)) for one in series.tolist()]
        self._parts.append(filled)
        self._keys.append(np.array(numbers, np.int64)[places])

    def rows(self) -> RollupRows:
        """A row for each key and bucket."""
        if not self._parts:
            none = np.empty(0, np.int64)
            return RollupRows((), none, none, none, np.empty((0, len(ADDED))), np.empty((0, len(PERCENTILES))))
        keys, starts = np.concatenate(self._keys), np.concatenate([part.start_ms for part in self._parts])
        buckets = starts // self._length_ms
        order = np.lexsort((buckets, keys))
        keys, buckets = keys[order], buckets[order]
        firsts = np.flatnonzero(np.concatenate(([True], (np.diff(keys) != 0) | (np.diff(buckets) != 0))))

        def added(name: str, add: np.ufunc, kind: type = np.float64) -> npt.NDArray[Any]:
            column: npt.NDArray[Any] = np.concatenate([getattr(part, name) for part in self._parts]).astype(kind)
            return np.asarray(add.reduceat(column[order], firsts))

        numbers = np.stack([added(name, add) for name, add in ADDED.items()], axis=1)
        count, percentiles = added("count", np.add, np.int64), self._percentiles(order, firsts)
        place = keys[firsts], buckets[firsts] * self._length_ms
        return RollupRows(tuple(self._numbers), *place, count, _finite(numbers), percentiles)

    def _percentiles(self, order: npt.NDArray[np.intp], firsts: npt.NDArray[np.intp]) -> Numbers:
        """Of each group of windows in this order; not known where one of them has no sketch."""
        found = np.full((len(firsts), len(PERCENTILES)), math.nan)
        sketched = [part for part in self._parts if part.sketch is not None]
        if not sketched:
            return found
        has = np.concatenate([np.full(len(part), part.sketch is not None) for part in self._parts])
        places = (np.cumsum(has) - 1)[order]  # of the sketch of each window that has one
        has = has[order]
        batch = take_windows(join_windows(sketched), places[has])
        ends, before = np.append(firsts, len(order)), np.concatenate(([0], np.cumsum(has)))
        lows, highs = before[ends[:-1]], before[ends[1:]]
        whole = highs - lows == np.diff(ends)
        single = whole & (highs - lows == 1)
        found[single] = _quantiles_of_each(take_windows(batch, lows[single]))
        for row in np.flatnonzero(whole & ~single).tolist():
            found[row] = _quantiles(batch, int(lows[row]), int(highs[row]))
        return _finite(found)


def with_percentiles(rows: RollupRows, exact: GroupedQuantiles) -> RollupRows:
    """Rows with the percentiles of their samples, where as many were found as the row has counted.

    exact: its groups are places of keys.
    """
    if not len(rows) or not len(exact.group):
        return rows
    low_ms = min(int(rows.bucket_ms.min()), int(exact.window_ms.min()))
    width = max(int(rows.bucket_ms.max()), int(exact.window_ms.max())) + 1 - low_ms
    codes = rows.place * width + rows.bucket_ms - low_ms
    wanted = exact.group * width + exact.window_ms - low_ms
    at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    whole = (codes[at] == wanted) & (rows.count[at] == exact.count)
    percentiles = rows.percentiles.copy()
    percentiles[at[whole]] = _finite(exact.values[whole])
    return msgspec.structs.replace(rows, percentiles=percentiles)


def _compared(
    rows: RollupRows, written: RollupRows, span: Span
) -> tuple[npt.NDArray[np.bool_], list[tuple[RollupKey, int]]]:
    """Rows that are not written with the same bits; keys and buckets of written ones in the span that are gone."""
    differs = np.ones(len(rows), np.bool_)
    places = {key: place for place, key in enumerate(rows.keys)}
    own = np.array([places.get(key, -1) for key in written.keys], np.int64)
    old = np.flatnonzero((written.bucket_ms >= span[0]) & (written.bucket_ms < span[1]))
    gone = np.ones(len(old), np.bool_)
    if len(rows) and len(old):
        low_ms = min(int(rows.bucket_ms.min()), span[0])
        width = max(int(rows.bucket_ms.max()) + 1, span[1]) - low_ms
        codes = rows.place * width + rows.bucket_ms - low_ms
        wanted = own[written.place[old]] * width + written.bucket_ms[old] - low_ms  # negative: of no key
        at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        gone = codes[at] != wanted
        same = ~gone & (rows.count[at] == written.count[old])
        for name in ("numbers", "percentiles"):
            pair = getattr(rows, name)[at].view(np.int64), getattr(written, name)[old].view(np.int64)
            same &= np.all(pair[0] == pair[1], axis=1)
        differs[at[same]] = False
    lost = old[gone]
    return differs, [
        (written.keys[place], bucket)
        for place, bucket in zip(written.place[lost].tolist(), written.bucket_ms[lost].tolist(), strict=True)
    ]


def _quantiles(windows: WindowBatch, low: int, high: int) -> Numbers:
    """Of the sketches of rows [low, high) together."""
    sketches = _sketches_of(windows)
    merged, offsets = Sketch(), sketches.offsets[low : high + 1]
    merged.merge(offsets - offsets[0], sketches.data[offsets[0] : offsets[-1]])
    return np.asarray(merged.quantiles(PERCENTILES))


def _quantiles_of_each(windows: WindowBatch) -> Numbers:
    sketches, unknown = _sketches_of(windows), np.full(len(windows), math.nan)
    return np.asarray(quantiles_of(sketches.offsets, sketches.data, PERCENTILES, unknown, unknown))


def _sketches_of(windows: WindowBatch) -> SketchColumn:
    if windows.sketch is None:
        raise InvariantBroken("windows without sketches were taken for percentiles")
    return windows.sketch


def _finite(numbers: Numbers) -> Numbers:
    return np.where(np.isfinite(numbers), numbers, math.nan)


def _known(column: Numbers) -> list[float | None]:
    return [None if number != number else number for number in column.tolist()]
