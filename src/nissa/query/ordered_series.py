"""Samples of the selected series, one series after the other in the order of their labels, as remote read wants them.

index    labels as they are answered, sorted, with the ids of     a{x="1"}  a{x="2"}  b  …
         their series: several where external labels make them equal
slices   SERIES_PER_SLICE of them are read at a time, by ids      and handed out in the order of labels
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np

from nissa.model.allowance import PAIR_BYTES, Check, no_check
from nissa.model.columns import SampleBatch, TimeColumn, ValueColumn
from nissa.model.matcher import Selector
from nissa.query.backend import Backend
from nissa.query.export import OnDamage, stream_series
from nissa.query.external_labels import ExternalLabels, Pairs
from nissa.series.select import select

SERIES_PER_SLICE = 64
ROW_BYTES = 20  # of a sample: series, time, value

Ordered = tuple[Pairs, TimeColumn, ValueColumn]
Known = tuple[Pairs, list[int]]  # labels, ids of series


def ordered_series(
    backend: Backend,
    selector: Selector,
    interval_ms: tuple[int, int],
    check: Check = no_check,
    on_damage: OnDamage | None = None,
    external: ExternalLabels | None = None,
) -> Iterator[Ordered]:
    """Yield labels, times and values of each series that has samples, in order of labels.

    selector: the series. interval_ms: [start, end), Unix milliseconds. check, on_damage: as for ``stream_series``.
    external: labels that are added. Raises: BadQuery; as ``stream_series``.
    """
    known = _known(backend, selector, check, external or ExternalLabels())
    for first in range(0, len(known), SERIES_PER_SLICE):
        part = known[first : first + SERIES_PER_SLICE]
        ids = np.array(sorted(series for _, own in part for series in own), np.uint32)
        batches = []
        for batch in stream_series(backend, ids, interval_ms, check, on_damage):
            check(ROW_BYTES * len(batch))
            batches.append(batch)
        yield from _in_order(part, batches)
        check(-ROW_BYTES * sum(map(len, batches)))


def _known(backend: Backend, selector: Selector, check: Check, external: ExternalLabels) -> list[Known]:
    index, found = backend.index, []
    for series in select(index, external.stored(selector), check).tolist():
        labels = external.answered(index.labels(series), selector)
        if labels is not None:
            check(PAIR_BYTES * len(labels))
            found.append((labels, series))
    found.sort()
    return [(labels, [series for _, series in own]) for labels, own in groupby(found, itemgetter(0))]


def _in_order(part: list[Known], batches: list[SampleBatch]) -> Iterator[Ordered]:
    if not batches:
        return
    series = np.concatenate([batch.series for batch in batches])
    ts_ms = np.concatenate([batch.ts_ms for batch in batches])
    value = np.concatenate([batch.value for batch in batches])
    for labels, own in part:
        ids = np.array(own, np.uint32)
        rows = list(map(slice, np.searchsorted(series, ids, "left"), np.searchsorted(series, ids, "right")))
        times, values = ts_ms[rows[0]], value[rows[0]]
        if len(rows) > 1:  # of two samples with one time, that of the older series
            times, places = np.unique(np.concatenate([ts_ms[one] for one in rows]), return_index=True)
            values = np.concatenate([value[one] for one in rows])[places]
        if len(times):
            yield labels, times, values
