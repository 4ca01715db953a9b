"""Who uses the cardinality: the numbers behind ``/api/v1/status/tsdb``, in Prometheus' shape.

All of them come from the counts of distinct (name, value) pairs; texts are looked up only for what is shown.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.model.matcher import NAME_LABEL
from nissa.query.backend import IndexView
from nissa.series.select import SymbolColumn

Ranked = list[dict[str, Any]]


class PairCounts(msgspec.Struct, frozen=True):
    """Every distinct label pair, ordered by name: name symbol, value symbol, and how many series carry it; parallel."""

    names: SymbolColumn
    values: SymbolColumn
    series: npt.NDArray[np.int64]


def tsdb_status(index: IndexView, entries_max: int, status: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of ``/api/v1/status/tsdb``.

    entries_max: entries per list. status: what the backend says of itself: ``head`` (min_ms, max_ms), ``blocks``
    (count), and ``series`` (active, limit, refused, top_offenders), which is given on under ``nissa``.
    """
    names, values, series = index.pair_counts()
    counts = PairCounts(names, values, series.astype(np.int64))
    symbols, firsts = np.unique(counts.names, return_index=True)
    head, blocks = status.get("head", {}), status.get("blocks", {})
    return {
        "headStats": {
            "numSeries": index.series_count,
            "numLabelPairs": len(counts.names),
            "chunkCount": int(blocks.get("count", 0)),
            "minTime": int(head.get("min_ms") or 0),
            "maxTime": int(head.get("max_ms") or 0),
        },
        "seriesCountByMetricName": _by_metric_name(index, counts, entries_max),
        "labelValueCountByLabelName": _ranked(
            np.diff(np.append(firsts, len(counts.names))), entries_max, lambda at: index.symbol_text(int(symbols[at]))
        ),
        "memoryInBytesByLabelName": _ranked(
            _value_bytes(index, counts, firsts), entries_max, lambda at: index.symbol_text(int(symbols[at]))
        ),
        "seriesCountByLabelValuePair": _by_pair(index, counts, entries_max),
        "nissa": dict(status.get("series", {})),
    }


def _by_metric_name(index: IndexView, counts: PairCounts, entries_max: int) -> Ranked:
    at = np.flatnonzero(counts.names == index.symbol(NAME_LABEL))
    values = counts.values[at]
    return _ranked(counts.series[at], entries_max, lambda rank: index.symbol_text(int(values[rank])))


def _by_pair(index: IndexView, counts: PairCounts, entries_max: int) -> Ranked:
    def shown(at: int) -> str:
        return f"{index.symbol_text(int(counts.names[at]))}={index.symbol_text(int(counts.values[at]))}"

    return _ranked(counts.series, entries_max, shown)


def _value_bytes(index: IndexView, counts: PairCounts, firsts: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """Per label name, the bytes of its distinct values together."""
    offsets, _ = index.symbols_of(0, index.symbol_count)
    lengths = np.diff(offsets)[counts.values]
    return np.add.reduceat(lengths, firsts) if len(firsts) else np.empty(0, np.int64)


def _ranked(values: npt.NDArray[np.int64], entries_max: int, name_at: Callable[[int], str]) -> Ranked:
    """The largest ``values`` with their names, largest first; equal ones in the order of the index."""
    best = np.argsort(-values, kind="stable")[:entries_max]
    return [{"name": name_at(int(at)), "value": int(values[at])} for at in best]
