"""Cardinality statistics for ``/api/v1/status/tsdb``, in Prometheus' shape.

All of them come from the counts of distinct (name, value) pairs; texts are looked up only for what is shown.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.allowance import Check, no_check
from nissa.model.matcher import NAME_LABEL
from nissa.model.status import Status
from nissa.query.backend import IndexView
from nissa.series.select import SymbolColumn

SYMBOLS_PER_SLICE = 65_536  # texts copied between two looks at the deadline

Ranked = list[dict[str, Any]]


class PairCounts(msgspec.Struct, frozen=True):
    """Every distinct label pair, ordered by name: name symbol, value symbol, and how many series carry it; parallel."""

    names: SymbolColumn
    values: SymbolColumn
    series: npt.NDArray[np.int64]


def tsdb_status(index: IndexView, entries_max: int, status: Status, check: Check = no_check) -> dict[str, Any]:
    """The answer of ``/api/v1/status/tsdb``. check: called between slices of work, with the bytes held.

    entries_max: entries per list. status: of the backend; its series are repeated under ``nissa``.
    """
    counts = _pair_counts(index, check)
    symbols, firsts = np.unique(counts.names, return_index=True)
    first_ms, last_ms = (status.head.min_ms, status.head.max_ms) if status.head else (None, None)
    return {
        "headStats": {
            "numSeries": index.known_count,
            "numLabelPairs": len(counts.names),
            "chunkCount": int((status.blocks or {}).get("count", 0)),
            "minTime": first_ms or 0,
            "maxTime": last_ms or 0,
        },
        "seriesCountByMetricName": _by_metric_name(index, counts, entries_max),
        "labelValueCountByLabelName": _ranked(
            np.diff(np.append(firsts, len(counts.names))), entries_max, lambda at: index.symbol_text(int(symbols[at]))
        ),
        "memoryInBytesByLabelName": _ranked(
            _value_bytes(index, counts, firsts, check), entries_max, lambda at: index.symbol_text(int(symbols[at]))
        ),
        "seriesCountByLabelValuePair": _by_pair(index, counts, entries_max),
        "nissa": msgspec.to_builtins(status.series),
    }


def _pair_counts(index: IndexView, check: Check) -> PairCounts:
    names, values, counts = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for name in index.names().tolist():
        by_symbol = index.value_counts(name)
        carried = np.flatnonzero(by_symbol).astype(np.uint32)
        names.append(np.full(len(carried), name, np.uint32))
        values.append(carried)
        counts.append(by_symbol[carried].astype(np.int64))
        check(32 * len(carried))  # and what ranking takes
    return PairCounts(np.concatenate(names), np.concatenate(values), np.concatenate(counts))


def _by_metric_name(index: IndexView, counts: PairCounts, entries_max: int) -> Ranked:
    at = np.flatnonzero(counts.names == index.symbol(NAME_LABEL))
    values = counts.values[at]
    return _ranked(counts.series[at], entries_max, lambda rank: index.symbol_text(int(values[rank])))


def _by_pair(index: IndexView, counts: PairCounts, entries_max: int) -> Ranked:
    def shown(at: int) -> str:
        return f"{index.symbol_text(int(counts.names[at]))}={index.symbol_text(int(counts.values[at]))}"

    return _ranked(counts.series, entries_max, shown)


def _value_bytes(
    index: IndexView, counts: PairCounts, firsts: npt.NDArray[np.intp], check: Check
) -> npt.NDArray[np.int64]:
    """Per label name, the bytes of its distinct values together."""
    total = index.symbol_count
    symbol_bytes = np.empty(total, np.int64)
    check(symbol_bytes.nbytes + 8 * len(counts.values))
    for first in range(0, total, SYMBOLS_PER_SLICE):
        offsets, _ = index.symbols_of(first, min(SYMBOLS_PER_SLICE, total - first))
        symbol_bytes[first : first + SYMBOLS_PER_SLICE] = np.diff(offsets)
        check()
    lengths = symbol_bytes[counts.values]
    return np.add.reduceat(lengths, firsts) if len(firsts) else np.empty(0, np.int64)


def _ranked(values: npt.NDArray[np.int64], entries_max: int, name_at: Callable[[int], str]) -> Ranked:
    """The largest ``values`` with their names, largest first; equal ones in the order of the index."""
    best = np.argsort(-values, kind="stable")[:entries_max]
    return [{"name": name_at(int(at)), "value": int(values[at])} for at in best]
