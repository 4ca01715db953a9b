"""Range cache: keeps answers of range queries, so that a refreshed dashboard evaluates only the steps that are new.

    at 12:00   steps    11:00 ··························· 11:59  12:00      evaluated, and kept with the arrival mark
    since then arrived                                    ▲ earliest new row: 11:59:30
    at 12:01   steps      11:01 ························· 11:59 │12:00 12:01
                          taken from the cache                  │evaluated

A step is taken from the cache only if no row that became visible since has a time at or before it (``store/arrivals``),
so late samples change the answer as they do without a cache. An entry is outdated where deletions or damage are not
what they were (``version``), and all are where the series index was replaced. Retention changes nothing, because a
query uses the cache only if no sample that it reaches has expired.

Kept are answers that depend, at each step, only on samples up to that step (``reach_ms``), that were read from samples
alone, and that have no warning. An answer whose steps are all in an entry leaves the entry as it is. Queries with other
steps have entries of their own: start times that are multiples of the step, as Grafana and the pages of Nissa send
them, find the entry again.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from nissa.model.ladder import RAW
from nissa.model.units import KIB
from nissa.promql.expression import Aggregation, Call, Expression, Range, Select, Subquery
from nissa.promql.labels import Labels, LabelTexts, SymbolColumn, join_labels
from nissa.promql.notes import NOTES_MAX
from nissa.promql.plan import flat_parts
from nissa.promql.values import Present, QueryResult, Steps, TimeColumn, Values, Vector, steps_between

ENTRY_BYTES = KIB  # of an entry beside its columns and texts
TEXT_BYTES = 128  # of a text that a query made, beside its characters
CELL_BYTES = 9  # of a step of a row: its value and its mark
# Functions of the whole range, and one that also reads series its arguments do not name.
OF_THE_RANGE = frozenset({"start", "end", "range", "info"})
LIMITS = frozenset({"limitk", "limit_ratio"})

Evaluate = Callable[[int], QueryResult]
Key = tuple[str, int, int, int, str]


class CacheRequest(msgspec.Struct, frozen=True):
    """A range query as the cache sees it. lookback_ms, resolution: as of ``evaluate_range``."""

    text: str
    start_ms: int
    end_ms: int
    step_ms: int
    lookback_ms: int
    resolution: str

    @property
    def key(self) -> Key:
        """Equal for queries whose steps meet."""
        return self.text, self.step_ms, self.start_ms % self.step_ms, self.lookback_ms, self.resolution

    @property
    def steps(self) -> Steps:
        """The times it is evaluated at."""
        return steps_between(self.start_ms, self.end_ms, self.step_ms)


class World(msgspec.Struct, frozen=True):
    """The state that an answer is made of. index: the series index. version: changes with deletions and damage.

    texts: symbols of the query. mark: of arrivals, taken before the snapshot. earliest_since: of a mark; after it.
    symbol_total: how many symbols of the index the query knows.
    """

    index: object
    texts: LabelTexts
    version: object
    mark: int
    earliest_since: Callable[[int], int]
    symbol_total: int


class _Entry(msgspec.Struct, frozen=True):
    """An answer. columns: as of ``Labels``. own_texts: by symbol, those of its labels that are not of the index.

    last_symbol: the last one of the index. mark, version: as above. weight: bytes.
    """

    names: tuple[str, ...]
    columns: SymbolColumn
    values: Values
    present: Present
    at_ms: TimeColumn
    infos: tuple[str, ...]
    resolutions: tuple[str, ...]
    own_texts: dict[int, str]
    last_symbol: int
    mark: int
    version: object
    weight: int


class RangeCache:
    """Answers by query, those asked for last, up to so many bytes. Safe from any thread."""

    def __init__(self, bytes_max: int, index_symbols: int) -> None:
        """bytes_max: 0 for a cache that keeps nothing. index_symbols: symbols below are the same in all queries."""
        self._bytes_max = bytes_max
        self._index_symbols = index_symbols
        self._lock = threading.Lock()
        self._index: object = None
        self._entries: dict[Key, _Entry] = {}  # the one asked for longest ago first
        self._bytes = self._hits = self._misses = 0

    def answer(
        self,
        request: CacheRequest,
        world: World,
        evaluate: Evaluate,
        check: Callable[[int], None],
        is_complete: Callable[[], bool],
    ) -> QueryResult:
        """The answer of a query, of which as many steps as possible come from the cache. It is kept.

        evaluate: the answer from a time in ms to the end of the range. check: called with the bytes of the answer.
        is_complete: asked afterwards; False where damage left something out. Raises: what these raise.
        """
        entry = self._find(request, world.index)
        known = 0 if entry is None else _known(entry, request, world)
        with self._lock:
            self._hits += known > 0
            self._misses += known == 0
        if entry is None or not known:
            answer = evaluate(request.start_ms)
        else:
            answer = _continued(entry, request.steps, known, world, evaluate, check)
        if known < len(answer.at_ms) and is_complete():
            self._keep(request, answer, world)
        return answer

    def facts(self) -> dict[str, Any]:
        """Facts for ``/api/status`` and the metrics."""
        with self._lock:
            return {"hits": self._hits, "misses": self._misses, "bytes": self._bytes, "entries": len(self._entries)}

    def _find(self, request: CacheRequest, index: object) -> _Entry | None:
        with self._lock:
            if index is not self._index:
                self._entries.clear()
                self._bytes, self._index = 0, index
            found = self._entries.pop(request.key, None)
            if found is not None:
                self._entries[request.key] = found
            return found

    def _keep(self, request: CacheRequest, answer: QueryResult, world: World) -> None:
        if answer.vector is None or answer.warnings or set(answer.resolutions) - {RAW} or not self._bytes_max:
            return
        entry = _entry_of(request, answer, answer.vector, world, self._index_symbols)
        with self._lock:
            if self._index is not world.index or entry.weight > self._bytes_max:
                return
            replaced = self._entries.pop(request.key, None)
            self._bytes += entry.weight - (replaced.weight if replaced is not None else 0)
            self._entries[request.key] = entry
            while self._bytes > self._bytes_max:
                self._bytes -= self._entries.pop(next(iter(self._entries))).weight


def reach_ms(expression: Expression, lookback_ms: int) -> int | None:
    """The time before a step in which the samples lie that it depends on.

    None where it depends on later samples, or on the range of the query.
    """
    match expression:
        case Select(shift=shift) if shift.moment is None and shift.offset_ms >= 0:
            return lookback_ms + shift.offset_ms
        case Range(select=select, range_ms=range_ms):
            return reach_ms(select, range_ms)
        case Subquery(expression=inner, range_ms=range_ms, shift=shift):
            within = reach_ms(inner, lookback_ms)
            early = shift.moment is None and shift.offset_ms >= 0
            return None if within is None or not early else within + range_ms + shift.offset_ms
        case Select():
            return None
        case Call(name=name) if name in OF_THE_RANGE:
            return None
        case Aggregation(operation=operation) if operation in LIMITS:
            return None
    parts = [reach_ms(part, lookback_ms) for part in flat_parts(expression)]
    known = [part for part in parts if part is not None]
    return max(known, default=0) if len(known) == len(parts) else None


def _entry_of(request: CacheRequest, answer: QueryResult, vector: Vector, world: World, index_symbols: int) -> _Entry:
    """An answer without what else its query holds: of the texts, those that are in it alone."""
    labels = vector.labels
    symbols = np.unique(labels.columns)
    own_texts = {symbol: world.texts.text(symbol) for symbol in symbols[symbols >= index_symbols].tolist()}
    last_symbol = int(symbols[symbols < index_symbols].max(initial=0))
    columns = labels.columns, vector.values, vector.present, answer.at_ms
    texts = request.text, *labels.names, *answer.infos, *own_texts.values()
    weight = ENTRY_BYTES + sum(column.nbytes for column in columns) + sum(map(sys.getsizeof, texts))
    weight += TEXT_BYTES * len(own_texts)
    notes = answer.infos, answer.resolutions
    return _Entry(labels.names, *columns, *notes, own_texts, last_symbol, world.mark, world.version, weight)


def _known(entry: _Entry, request: CacheRequest, world: World) -> int:
    """Number of the first steps of a query that the entry answers.

    0 if it has symbols that the query, begun earlier, does not know: the query may make the same texts itself.
    """
    is_outdated = entry.version != world.version or entry.last_symbol > world.symbol_total
    if is_outdated or request.start_ms < int(entry.at_ms[0]):
        return 0
    until_ms = min(int(entry.at_ms[-1]) + 1, request.end_ms + 1, world.earliest_since(entry.mark))
    return max(-((request.start_ms - until_ms) // request.step_ms), 0)


def _continued(
    entry: _Entry, steps: Steps, known: int, world: World, evaluate: Evaluate, check: Callable[[int], None]
) -> QueryResult:
    """The known steps of an entry, and behind them those that are evaluated now."""
    first = int(np.searchsorted(entry.at_ms, steps.at_ms[0]))
    labels, span = _labels_of(entry, world.texts), slice(first, first + known)
    before = Vector(labels, entry.values[:, span], entry.present[:, span]).without_empty()
    if known == steps.count:
        return QueryResult("matrix", steps.at_ms, vector=before, infos=entry.infos, resolutions=entry.resolutions)
    answer = evaluate(int(steps.at_ms[known]))
    if answer.vector is None:
        raise TypeError("the answer of a range query has rows")
    check((len(before) + len(answer.vector)) * steps.count * CELL_BYTES)
    vector = _side_by_side(before, answer.vector)
    infos = tuple(dict.fromkeys((*entry.infos, *answer.infos)))[:NOTES_MAX]
    resolutions = entry.resolutions or answer.resolutions
    return msgspec.structs.replace(answer, at_ms=steps.at_ms, vector=vector, infos=infos, resolutions=resolutions)


def _labels_of(entry: _Entry, texts: LabelTexts) -> Labels:
    """Its labels with the symbols of another query."""
    columns = entry.columns
    if entry.own_texts:
        columns = columns.copy()
        for symbol, text in entry.own_texts.items():
            columns[entry.columns == symbol] = texts.symbol(text)
    return Labels(texts, entry.names, columns, np.zeros(columns.shape[1], np.bool_))


def _side_by_side(before: Vector, behind: Vector) -> Vector:
    """Two vectors of steps that follow each other as one, sorted by labels. Their rows have labels of their own."""
    labels = join_labels([before.labels, behind.labels])
    groups, firsts = labels.groups()
    rows, steps, known = len(firsts), before.steps + behind.steps, before.steps
    values, present = np.zeros((rows, steps)), np.zeros((rows, steps), np.uint8)
    _put(before, groups[: len(before)], values[:, :known], present[:, :known])
    _put(behind, groups[len(before) :], values[:, known:], present[:, known:])
    whole = labels.take(firsts.astype(np.int64))
    order = whole.order()
    return Vector(whole.take(order), values[order], present[order])


def _put(vector: Vector, groups: SymbolColumn, values: Any, present: Any) -> None:
    values[groups], present[groups] = vector.values, vector.present
