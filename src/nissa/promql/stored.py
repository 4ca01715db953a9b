"""The store as a source of samples: blocks and head of a snapshot, and labels from the series index.

    index   symbols 0 1 2 …          a query numbers its texts: 0 the empty one, index symbol s is s + 1,
    query   symbols 0 | 1 2 3 …  | 2^31 …       texts that the query makes itself are above 2^31

Windows of a tier are read run by run, a block each or what is folded now, and put in order at once: the place of one
is the number row * windows of the range + window, and of equal places the last run's is right.

The index grows while a query runs. What appears after the query began is outside of it: series by their ids, texts by
their symbols, so that one text has one symbol from the first selector to the answer.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.files.names import RAW_KIND, tier_kind
from nissa.model.allowance import Check, no_check
from nissa.model.columns import SeriesColumn
from nissa.model.ladder import Aggregate, Policy, WindowBatch, interval_name
from nissa.model.matcher import Selector
from nissa.promql.labels import Labels, LabelTexts
from nissa.promql.source import ALWAYS_MS, Columns, Kept, RowColumn, Rung, Selected, TierColumns
from nissa.rollup.read import WindowRequest, read_windows, window_runs
from nissa.series.selections import Index, Selection, SelectionCache, labelled
from nissa.store.block_run import OnDamage
from nissa.store.expected import expected_rows
from nissa.store.read import Snapshot, read_samples
from nissa.store.tier_blocks import KEYS, NEEDED

OWN_SYMBOLS = 2**31
SLOTS_PER_ROW = 4  # where windows are denser than this among all there may be, they are put in place, else sorted


class StoredSource:
    """Samples of a store, for one query."""

    def __init__(
        self,
        index: Index,
        snapshot: Snapshot,
        *,
        check: Check = no_check,
        on_damage: OnDamage | None = None,
    ) -> None:
        """on_damage: as for ``read_samples``."""
        self._index = index
        self._series_total = index.series_count
        self._texts = _StoredTexts(index)
        self._selected: dict[Selector, Selection] = {}
        self._snapshot = snapshot
        self._selections = snapshot.selections or SelectionCache(0)
        self._check = check
        self._on_damage = on_damage

    @property
    def texts(self) -> LabelTexts:
        """Symbols of this query."""
        return self._texts

    @property
    def symbol_total(self) -> int:
        """Symbols of the index that the query knows."""
        return self._texts.symbol_total

    def select(self, matchers: Selector) -> Selected:
        """Series that meet all matchers."""
        found = self._selection(matchers)
        labels = Labels(self._texts, found.names, found.columns, np.zeros(len(found.ids), np.bool_))
        return _StoredSelection(self, found.ids, labels)

    def series_of(self, selectors: Sequence[Selector]) -> SeriesColumn:
        """Ids of the series of several selectors, ascending."""
        return np.unique(np.concatenate([np.empty(0, np.uint32), *(self._selection(one).ids for one in selectors)]))

    def _selection(self, matchers: Selector) -> Selection:
        found = self._selected.get(matchers)
        if found is None:
            found = self._selections.find(self._index, matchers, self._check)
            if len(found.ids) and found.ids[-1] >= self._series_total:  # series that came after the query began
                found = labelled(self._index, found.ids[found.ids < self._series_total])
            self._selected[matchers] = found
        return found

    @property
    def tiers(self) -> tuple[str, ...]:
        """Names of the tiers, the finest first."""
        return tuple(row.tier.name for row in self._snapshot.tiers)

    @property
    def samples_from_ms(self) -> int:
        """Time from which on no sample has expired."""
        return _kept_from_ms(self._snapshot, RAW_KIND)

    def read(self, ids: SeriesColumn, start_ms: int, end_ms: int) -> Columns:
        """Read samples.

        ids: series, ascending. start_ms, end_ms: half-open interval, Unix milliseconds. Raises: Damaged.
        """
        return _read(self._snapshot, ids, start_ms, end_ms, self._on_damage)

    def read_tier(self, ids: SeriesColumn, tier: str, start_ms: int, end_ms: int, names: Sequence[str]) -> TierColumns:
        """Windows of some series, whose ids ascend, that start in [start_ms, end_ms). Raises: Damaged."""
        asked = WindowRequest(ids, start_ms, end_ms, False, self._on_damage, frozenset(names))
        return _in_order(self._snapshot, self.tiers.index(tier), asked, names)

    def read_sketches(self, ids: SeriesColumn, tier: str, start_ms: int, end_ms: int) -> Iterator[WindowBatch]:
        """Read windows with sketches, in batches of whole series.

        ids: series, ascending. tier: name of the tier. start_ms, end_ms: half-open interval, Unix milliseconds. Raises:
        Damaged.
        """
        asked = WindowRequest(ids, start_ms, end_ms, True, self._on_damage, frozenset(NEEDED[Aggregate.QUANTILES]))
        for batch in read_windows(self._snapshot, self.tiers.index(tier), asked):
            rows = np.searchsorted(ids, batch.series).astype(np.uint32)
            yield msgspec.structs.replace(batch, series=rows)

    def kept(self, ids: SeriesColumn) -> list[Kept]:
        """Series by what is retained of them."""
        snapshot = self._snapshot
        if snapshot.keeping is None:
            return [Kept(np.arange(len(ids)), _rungs(snapshot, None))]
        groups = snapshot.keeping.groups(ids)
        return [Kept(np.searchsorted(ids, own), _rungs(snapshot, policy)) for policy, own in groups]

    def expected(self, ids: SeriesColumn, start_ms: int, end_ms: int, few: float) -> npt.NDArray[np.float64]:
        """Estimate the number of samples in blocks, cumulative: entry i is that of the series before ``ids[i]``.

        ids: series, ascending. start_ms, end_ms: half-open interval, Unix milliseconds. few: as of ``expected_rows``.
        """
        counts = expected_rows(self._snapshot, ids, start_ms, end_ms, few)
        return np.concatenate([np.zeros(1), np.cumsum(counts)])


class _StoredSelection:
    def __init__(self, source: StoredSource, ids: SeriesColumn, labels: Labels) -> None:
        self.labels = labels
        self._source = source
        self._ids = ids

    def expected(self, start_ms: int, end_ms: int, few: float) -> npt.NDArray[np.float64]:
        """Rows by the footers of blocks; rows in memory are few, and not counted."""
        return self._source.expected(self._ids, start_ms, end_ms, few)

    def read(self, rows: slice | RowColumn, start_ms: int, end_ms: int) -> Columns:
        """Samples of some series."""
        return self._source.read(self._ids[rows], start_ms, end_ms)

    def kept(self, first: int, last: int) -> list[Kept]:
        """Some series by what is retained of them."""
        return self._source.kept(self._ids[first:last])

    def read_tier(self, rows: RowColumn, tier: str, start_ms: int, end_ms: int, names: Sequence[str]) -> TierColumns:
        """Windows of some series."""
        return self._source.read_tier(self._ids[rows], tier, start_ms, end_ms, names)

    def read_sketches(self, rows: RowColumn, tier: str, start_ms: int, end_ms: int) -> Iterator[WindowBatch]:
        """Windows of some series, with sketches."""
        return self._source.read_sketches(self._ids[rows], tier, start_ms, end_ms)


class _StoredTexts:
    """Symbols of the index as they were when the query began, and those the query makes."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.symbol_total = index.symbol_count
        self._own: list[str] = []
        self._symbols: dict[str, int] = {"": 0}

    def text(self, symbol: int) -> str:
        if symbol >= OWN_SYMBOLS:
            return self._own[symbol - OWN_SYMBOLS]
        return self._index.symbol_text(symbol - 1) if symbol else ""

    def symbol(self, text: str) -> int:
        found = self._symbols.get(text)
        if found is None:
            found = self._find(text)
            self._symbols[text] = found
        return found

    def _find(self, text: str) -> int:
        known = self._index.symbol(text) if text.isprintable() or _is_utf8(text) else -1
        if 0 <= known < self.symbol_total:
            return known + 1
        self._own.append(text)
        return OWN_SYMBOLS + len(self._own) - 1


def _is_utf8(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


def _read(snapshot: Snapshot, ids: SeriesColumn, start_ms: int, end_ms: int, on_damage: OnDamage | None) -> Columns:
    batch = read_samples(snapshot, ids, start_ms, end_ms, on_damage)
    offsets = np.empty(len(ids) + 1, np.int64)
    offsets[:-1] = np.searchsorted(batch.series, ids, "left")
    offsets[-1] = len(batch)
    return Columns(offsets, np.ascontiguousarray(batch.ts_ms), np.ascontiguousarray(batch.value))


def _kept_from_ms(snapshot: Snapshot, kind: str) -> int:
    """Time from which on no row of a kind of block has expired."""
    until_ms = snapshot.expired.get(kind)
    return ALWAYS_MS if until_ms is None else until_ms + 1


def _rungs(snapshot: Snapshot, policy: Policy | None) -> tuple[Rung, ...]:
    """Samples and the tiers that series of a policy reach."""
    found = [Rung(from_ms=_kept_from_ms(snapshot, RAW_KIND))]
    for row in snapshot.tiers:
        name, kept_ms = row.tier.name, 0 if policy is None else policy.retention_ms.get(row.tier.name, 0)
        if policy is not None and not kept_ms:
            break
        from_ms = _kept_from_ms(snapshot, tier_kind(name, interval_name(kept_ms) if kept_ms else ""))
        found.append(Rung(name, row.tier.interval_ms, from_ms, row.tier.aggregates))
    return tuple(found)


def _in_order(snapshot: Snapshot, place: int, asked: WindowRequest, names: Sequence[str]) -> TierColumns:
    """Windows sorted by series and start, each once; of their numbers those that are named."""
    ids, interval_ms = asked.series, snapshot.tiers[place].tier.interval_ms
    if ids is None:
        raise TypeError("series are named")
    width = max((asked.end_ms - asked.start_ms) // interval_ms, 1)
    row_bytes = 24 + 8 * len(names)
    places, batches = [], []
    for run in window_runs(snapshot, place, asked) if len(ids) and asked.start_ms < asked.end_ms else ():
        for batch in run:
            snapshot.check(row_bytes * len(batch))
            batches.append(batch)
            places.append(_rows_of(ids, batch.series) * width + (batch.start_ms - asked.start_ms) // interval_ms)
    all_names = ("count", "nans", *names)
    if len(ids) * width <= SLOTS_PER_ROW * sum(map(len, batches)):
        at, columns = _spread(places, batches, all_names, len(ids) * width)
    else:
        at, columns = _sorted(places, batches, all_names)
    offsets = np.searchsorted(at, np.arange(len(ids) + 1) * width)
    snapshot.check(-row_bytes * sum(map(len, batches)))
    numbers = dict(zip(names, columns[2:], strict=True))
    return TierColumns(offsets, at % width * interval_ms + asked.start_ms, columns[0], columns[1], numbers)


def _rows_of(ids: SeriesColumn, series: SeriesColumn) -> RowColumn:
    """The places of series among ids, which ascend and hold them all."""
    if int(ids[-1]) - int(ids[0]) == len(ids) - 1:
        return series.astype(np.int64) - int(ids[0])
    return np.searchsorted(ids, series).astype(np.int64)


def _spread(
    places: Sequence[RowColumn], batches: Sequence[WindowBatch], names: Sequence[str], slots: int
) -> tuple[RowColumn, list[Any]]:
    """Windows put in their places among all that there may be: of equal ones the last stays."""
    filled = np.zeros(slots, np.bool_)
    for at in places:
        filled[at] = True
    kept = np.flatnonzero(filled)
    columns = []
    for name in names:
        spread = np.zeros(slots, np.uint32 if name in KEYS else np.float64)
        for at, batch in zip(places, batches, strict=True):
            spread[at] = getattr(batch, name)
        columns.append(spread if len(kept) == slots else spread[kept])
    return kept, columns


def _sorted(
    places: Sequence[RowColumn], batches: Sequence[WindowBatch], names: Sequence[str]
) -> tuple[RowColumn, list[Any]]:
    """Windows sorted by their places: of equal ones the last stays."""
    at = np.concatenate([np.empty(0, np.int64), *places])
    order = np.argsort(at, kind="stable")
    ordered = at[order]
    order = order[np.append(ordered[1:] != ordered[:-1], np.ones(min(len(at), 1), np.bool_))]
    columns = []
    for name in names:
        empty = np.empty(0, np.uint32 if name in KEYS else np.float64)
        columns.append(np.concatenate([empty, *(getattr(batch, name) for batch in batches)])[order])
    return at[order], columns
