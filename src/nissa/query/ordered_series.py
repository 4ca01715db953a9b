"""Samples of the selected series, one series after the other in the order of their labels, as remote read wants them.

index    ids of the series, their labels, sorted by labels        a{x="1"}  a{x="2"}  b  …
slices   SERIES_PER_SLICE of them are read at a time, by ids      and handed out in the order of labels
"""

from collections.abc import Iterator

import numpy as np

from nissa.model.allowance import PAIR_BYTES, Check, no_check
from nissa.model.columns import SampleBatch, TimeColumn, ValueColumn
from nissa.model.matcher import Selector
from nissa.query.backend import Backend
from nissa.query.export import OnDamage, stream_series
from nissa.series.select import select

SERIES_PER_SLICE = 64
ROW_BYTES = 20  # of a sample: series, time, value

Ordered = tuple[list[tuple[str, str]], TimeColumn, ValueColumn]


def ordered_series(
    backend: Backend,
    selector: Selector,
    interval_ms: tuple[int, int],
    check: Check = no_check,
    on_damage: OnDamage | None = None,
) -> Iterator[Ordered]:
    """Yield labels, times and values of each series that has samples, in order of labels.

    selector: the series. interval_ms: [start, end), Unix milliseconds. check, on_damage: as for ``stream_series``.
    Raises: as ``stream_series``.
    """
    known: list[tuple[list[tuple[str, str]], int]] = []
    index = backend.index
    for series in select(index, selector, check).tolist():
        labels = sorted(index.labels(series))
        check(PAIR_BYTES * len(labels))
        known.append((labels, series))
    known.sort()
    for first in range(0, len(known), SERIES_PER_SLICE):
        part = known[first : first + SERIES_PER_SLICE]
        ids = np.array(sorted(series for _, series in part), np.uint32)
        batches = []
        for batch in stream_series(backend, ids, interval_ms, check, on_damage):
            check(ROW_BYTES * len(batch))
            batches.append(batch)
        yield from _in_order(part, batches)
        check(-ROW_BYTES * sum(map(len, batches)))


def _in_order(part: list[tuple[list[tuple[str, str]], int]], batches: list[SampleBatch]) -> Iterator[Ordered]:
    if not batches:
        return
    series = np.concatenate([batch.series for batch in batches])
    ts_ms = np.concatenate([batch.ts_ms for batch in batches])
    value = np.concatenate([batch.value for batch in batches])
    for labels, one in part:
        first, last = np.searchsorted(series, np.uint32(one), "left"), np.searchsorted(series, np.uint32(one), "right")
        if first < last:
            yield labels, ts_ms[first:last], value[first:last]
