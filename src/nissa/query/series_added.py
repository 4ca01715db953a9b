"""Series added since a moment: ids are given out in order, so they are those from the number known then."""

from collections import Counter
from typing import Any

import msgspec
import numpy as np

from nissa.model.allowance import Check, no_check
from nissa.model.matcher import NAME_LABEL
from nissa.query.backend import IndexView

SERIES_PER_SLICE = 65_536
PAIR_BYTES = 16  # of one distinct pair, while two sets of them are joined


class AddedSeries(msgspec.Struct, frozen=True):
    """total: ids given out. dropped: of these, in no answer any more, without labels.

    by_metric_name: series by metric name. by_label_name: distinct values by label name. Largest first.
    """

    total: int
    dropped: int
    by_metric_name: list[dict[str, Any]]
    by_label_name: list[dict[str, Any]]


def added_series(index: IndexView, first: int, end: int, entries_max: int, check: Check = no_check) -> AddedSeries:
    """Series with ids in [first, end). entries_max: of each list. check: called between slices of work."""
    name = index.symbol(NAME_LABEL)
    names: Counter[int] = Counter()
    pairs = np.empty(0, np.uint64)
    known = 0
    for begin in range(first, end, SERIES_PER_SLICE):
        starts, found = index.pairs_of(begin, min(SERIES_PER_SLICE, end - begin))
        known += int(np.count_nonzero(np.diff(starts)))
        symbols, counts = np.unique(found[found[:, 0] == name, 1], return_counts=True)
        names.update(dict(zip(symbols.tolist(), counts.tolist(), strict=True)))
        packed = (found[:, 0].astype(np.uint64) << np.uint64(32)) | found[:, 1]
        check(PAIR_BYTES * (len(pairs) + len(packed)))
        pairs = np.union1d(pairs, packed)
    labels, values = np.unique((pairs >> np.uint64(32)).astype(np.uint32), return_counts=True)
    by_label = Counter(dict(zip(labels.tolist(), values.tolist(), strict=True)))
    return AddedSeries(
        end - first, end - first - known, _ranked(index, names, entries_max), _ranked(index, by_label, entries_max)
    )


def _ranked(index: IndexView, counts: "Counter[int]", entries_max: int) -> list[dict[str, Any]]:
    return [{"name": index.symbol_text(symbol), "value": count} for symbol, count in counts.most_common(entries_max)]
