"""Selections: the series of a selector with their labels, cached for the next queries with that selector.

    cpu{job="api"}    made at series 0 … 499,999     ids 12 40 77 …    names and columns as of ``Labels``
    since then new           500,000 … 500,003       their labels are matched: 500,002 is added

Rules and dashboards ask with the same selectors again and again, and a series never changes its labels. A selection is
therefore brought up to date by matching the series that are new. It is made anew where many are, where series were
dropped, and where the index was replaced by a smaller one.
"""

import threading
import weakref
from sys import getsizeof
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.allowance import Check, no_check
from nissa.model.columns import SeriesColumn
from nissa.model.errors import TooLarge
from nissa.model.matcher import Matcher, Selector
from nissa.model.predicate import is_selective, predicate
from nissa.model.units import KIB
from nissa.series.select import SeriesView, SymbolColumn, select

ENTRY_BYTES = KIB  # of an entry beside its columns
LABEL_CELLS_MAX = 200_000_000  # series × label names of one selector
MATCHED_MAX = 10_000  # new series that are matched one by one; of more, the selection is made anew

Pairs = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]


class Index(SeriesView, Protocol):
    """The series index as a source sees it."""

    def pairs_of_each(self, series: SeriesColumn, /) -> tuple[npt.NDArray[np.uint64], Pairs]:
        """Labels of some series: starts (series + 1,), and name and value symbols (n, 2)."""


class Selection(msgspec.Struct, frozen=True):
    """Series and their labels. ids: ascending. names: sorted. columns: uint32 (names, ids), index symbols + 1, 0: none.

    Arrays are shared by queries and never changed.
    """

    ids: SeriesColumn
    names: tuple[str, ...]
    columns: SymbolColumn


class _Entry(msgspec.Struct, frozen=True):
    """A selection. series_total, dropped_total: of the index, read before it was made. weight: bytes."""

    selection: Selection
    series_total: int
    dropped_total: int
    weight: int

    def is_near(self, series_total: int, dropped_total: int) -> bool:
        """True if it can be brought up to date: no series was dropped since, and few are new."""
        return self.dropped_total == dropped_total and series_total - self.series_total <= MATCHED_MAX


class SelectionCache:
    """Selections by selector, those asked for last, up to so many bytes. Safe from any thread."""

    def __init__(self, bytes_max: int) -> None:
        """bytes_max: 0 for a cache that keeps nothing."""
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._index: weakref.ref[Index] | None = None  # a smaller one may take its place: it is not kept for this
        self._entries: dict[Selector, _Entry] = {}  # the one asked for longest ago first
        self._bytes = self._hits = self._misses = 0

    def find(self, index: Index, selector: Selector, check: Check = no_check) -> Selection:
        """The series of ``selector`` at this moment, with their labels.

        index: that of the directory. check: as of ``series.select``. Raises: BadQuery for a pattern RE2 does not take,
        TooLarge for over ``LABEL_CELLS_MAX`` labels.
        """
        series_total, dropped_total = index.series_count, index.dropped_total
        known = self._known(index, selector, series_total, dropped_total)
        if known is None:
            selection = select_labelled(index, selector, series_total, check)
        elif known.series_total >= series_total:
            return known.selection
        else:
            selection = _extended(index, selector, known, series_total, check)
        weight = _weight(selector, selection)
        self._keep(index, selector, _Entry(selection, series_total, dropped_total, weight))
        return selection

    def facts(self) -> dict[str, int]:
        """Facts for ``/api/status`` and the metrics."""
        with self._lock:
            return {"hits": self._hits, "misses": self._misses, "bytes": self._bytes, "entries": len(self._entries)}

    def _known(self, index: Index, selector: Selector, series_total: int, dropped_total: int) -> _Entry | None:
        """The entry of a selector; None where there is none, or where the selection is made anew."""
        with self._lock:
            self._turn_to(index)
            entry = self._entries.pop(selector, None)
            if entry is not None and entry.is_near(series_total, dropped_total):
                self._entries[selector] = entry
                self._hits += 1
                return entry
            self._bytes -= 0 if entry is None else entry.weight
            self._misses += 1
            return None

    def _turn_to(self, index: Index) -> None:
        """Drop the entries of another index."""
        if self._index is None or self._index() is not index:
            self._entries.clear()
            self._index, self._bytes = weakref.ref(index), 0

    def _keep(self, index: Index, selector: Selector, entry: _Entry) -> None:
        is_kept = entry.weight <= self._bytes_max and is_selective(selector)
        with self._lock:
            self._turn_to(index)
            before = self._entries.pop(selector, None)
            self._bytes -= 0 if before is None else before.weight
            if not is_kept:
                return
            self._entries[selector] = entry
            self._bytes += entry.weight
            while self._bytes > self._bytes_max:
                self._bytes -= self._entries.pop(next(iter(self._entries))).weight


def _weight(selector: Selector, selection: Selection) -> int:
    """Bytes of an entry with its texts."""
    texts = *(text for matcher in selector for text in (matcher.name, matcher.value)), *selection.names
    return ENTRY_BYTES + selection.ids.nbytes + selection.columns.nbytes + sum(map(getsizeof, texts))


def select_labelled(index: Index, selector: Selector, series_total: int, check: Check = no_check) -> Selection:
    """The series of ``selector`` with their labels, of the series before ``series_total``.

    A search may find later ones, which came while it ran. Errors: as of ``SelectionCache.find``.
    """
    ids = select(index, selector, check)
    return labelled(index, ids[: ids.searchsorted(np.uint32(series_total))])


def labelled(index: Index, ids: SeriesColumn) -> Selection:
    """Some series, ascending, with their labels: a column per name that one of them has. Raises: TooLarge."""
    starts, pairs = index.pairs_of_each(ids)
    found = np.zeros(int(pairs[:, 0].max(initial=0)) + 1, np.bool_)
    found[pairs[:, 0]] = True
    symbols = np.flatnonzero(found)
    if len(symbols) * len(ids) > LABEL_CELLS_MAX:
        what = f"labels of one selector, {len(ids)} series with {len(symbols)} label names"
        raise TooLarge(what, got=len(symbols) * len(ids), limit=LABEL_CELLS_MAX, setting="LABEL_CELLS_MAX")
    names = [index.symbol_text(symbol) for symbol in symbols.tolist()]
    by_text = sorted(range(len(names)), key=names.__getitem__)
    place_of = np.zeros(len(found), np.int64)
    place_of[symbols[by_text]] = np.arange(len(names))
    columns: SymbolColumn = np.zeros((len(names), len(ids)), np.uint32)
    columns[place_of[pairs[:, 0]], _rows(starts)] = pairs[:, 1] + np.uint32(1)
    return Selection(ids, tuple(names[at] for at in by_text), columns)


def _extended(index: Index, selector: Selector, known: _Entry, series_total: int, check: Check) -> Selection:
    """The selection of ``known``, and the series before ``series_total`` that are new since."""
    added = np.arange(known.series_total, series_total, dtype=np.uint32)
    starts, pairs = index.pairs_of_each(added)
    rows = _rows(starts)
    for matcher in selector:
        check()
        fitting = _fitting(index, matcher, rows, pairs, len(added))
        if not fitting.any():
            return known.selection
        kept = fitting[rows]
        rows, pairs = (np.cumsum(fitting) - 1)[rows[kept]], pairs[kept]
        added = added[fitting]
    return labelled(index, np.concatenate([known.selection.ids, added]))


def _fitting(index: Index, matcher: Matcher, rows: Rows, pairs: Pairs, count: int) -> npt.NDArray[np.bool_]:
    """True for each of ``count`` series that the matcher takes. rows: the series of each of their pairs."""
    values = np.zeros(count, np.int64)  # symbol + 1
    for name in np.unique(pairs[:, 0]).tolist():
        if index.symbol_text(name) == matcher.name:
            own = pairs[:, 0] == name
            values[rows[own]] = pairs[own, 1].astype(np.int64) + 1
    distinct, places = np.unique(values, return_inverse=True)
    texts = (index.symbol_text(value - 1) if value else "" for value in distinct.tolist())
    fits = predicate(matcher.value) if matcher.op.by_pattern else matcher.value.__eq__
    taken = np.fromiter(map(fits, texts), np.bool_, len(distinct)) ^ matcher.op.negated
    fitting: npt.NDArray[np.bool_] = taken[places]
    return fitting


def _rows(starts: npt.NDArray[np.uint64]) -> Rows:
    """For each pair the row of its series."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts).astype(np.int64))
