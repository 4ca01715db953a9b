"""Exact quantiles, computed from samples, for windows whose samples are all retained.

    raw            |····dropped····|░░ kept ░░░░░░░░░░░░░░░░░|
    windows 5m     |e |e |e |e |e |?|x |x |x |x |x |x |x |x |      x exact      e estimated from the sketch

A window has its number of samples, and as many must be found. If samples were dropped or damaged the number is too
small, and the estimate from the sketch is used. A quantile is that of PromQL and numpy: rank q * (n - 1), interpolated
linearly; NaN are ignored.

Memory: one batch of samples, and one window of at most ``WINDOW_SAMPLES_MAX``. How many samples a whole answer may read
for this is the caller's budget; rows are served in their order until it is spent.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nissa.files.names import RAW_KIND, tier_of
from nissa.model.columns import STALE_BITS, SampleBatch, SeriesColumn, ValueColumn
from nissa.model.errors import Damaged
from nissa.model.ladder import WindowBatch
from nissa.rollup.derived_columns import one_nan
from nissa.rollup.windows import floor_ms
from nissa.store.read import Snapshot, head_range_ms, read_samples, stream_samples

WINDOW_SAMPLES_MAX = 1_000_000  # 16 MB while it is sorted
BATCH_ROWS_MAX = 131_072

Places = npt.NDArray[np.int64]


class ExactQuantiles(msgspec.Struct, frozen=True):
    """Beside n windows. exact: which of them. values: shape (n, probabilities), NaN elsewhere. spent: samples read."""

    exact: npt.NDArray[np.bool_]
    values: ValueColumn
    spent: int


def exact_quantiles(
    snapshot: Snapshot, windows: WindowBatch, interval_ms: int, probabilities: Sequence[float], samples_max: int
) -> ExactQuantiles:
    """Compute quantiles of windows whose samples are all retained, within a budget.

    snapshot: of the store. windows: sorted by series and start. interval_ms: length of a window. probabilities: from 0
    to 1. samples_max: samples to read at most.
    """
    found = ExactQuantiles(np.zeros(len(windows), np.bool_), np.full((len(windows), len(probabilities)), np.nan), 0)
    total = windows.count.astype(np.int64) + windows.nans
    wanted = _within_budget(snapshot, windows, total, samples_max)
    if not wanted.any():
        return found
    asked = np.array(probabilities, np.float64)
    for places, values in _whole_windows(snapshot, windows, np.flatnonzero(wanted), interval_ms):
        rows, counts = np.unique(places, return_counts=True)
        whole = counts == total[rows]
        inside = whole[np.searchsorted(rows, places)] & ~np.isnan(values)
        found.values[rows[whole]] = _quantiles(places[inside], values[inside], asked)
        found.exact[rows[whole]] = True
    return msgspec.structs.replace(found, spent=int(total[wanted].sum()))


class GroupedQuantiles(msgspec.Struct, frozen=True):
    """Beside n cells that have samples. group, window: of each cell; the window as its begin in ms. count: of numbers.

    values: shape (n, probabilities).
    """

    group: Places
    window_ms: Places
    count: Places
    values: ValueColumn


def grouped_quantiles(
    snapshot: Snapshot,
    series: SeriesColumn,
    groups: Places,
    span_ms: tuple[int, int],
    interval_ms: int,
    probabilities: ValueColumn,
) -> GroupedQuantiles:
    """Compute quantiles of the samples of several series together; the caller knows how many there must be.

    series: sorted. groups: beside each, 0 or more. span_ms: half-open, of whole windows. Raises: what reading raises,
    but for damage: what cannot be read is not counted. Memory: all samples of the span.
    """
    batch = read_samples(snapshot, series, *span_ms, _untold)
    numbers = ~np.isnan(batch.value)  # markers are NaN too
    width = (span_ms[1] - span_ms[0]) // interval_ms
    own = groups[np.searchsorted(series, batch.series[numbers])]
    places = own.astype(np.int64) * width + (batch.ts_ms[numbers] - span_ms[0]) // interval_ms
    order = np.argsort(places, kind="stable")
    cells, counts = np.unique(places, return_counts=True)
    values = _quantiles(places[order], batch.value[numbers][order], probabilities)
    return GroupedQuantiles(cells // width, cells % width * interval_ms + span_ms[0], counts, values)


def _within_budget(snapshot: Snapshot, windows: WindowBatch, total: Places, samples_max: int) -> npt.NDArray[np.bool_]:
    """Rows that are worth a try: not begun before the oldest sample, not too large, the first of them."""
    wanted = (windows.count > 0) & (total <= WINDOW_SAMPLES_MAX) & (windows.start_ms >= _whole_from_ms(snapshot))
    return wanted & (np.cumsum(np.where(wanted, total, 0)) <= samples_max)


def _whole_from_ms(snapshot: Snapshot) -> int:
    """Time from which on no sample was dropped, except late ones; the beginning of time if none was ever dropped."""
    times = list((head_range_ms(snapshot) or ())[:1])
    times += [block.min_ms for block in snapshot.blocks if block.kind == RAW_KIND]
    oldest_ms = min(times, default=2**63 - 1)
    lengths = {row.tier.name: row.tier.interval_ms for row in snapshot.tiers}
    for block in snapshot.blocks:
        if block.min_ms < floor_ms(oldest_ms, lengths.get(tier_of(block.kind), 2**63 - 1)):
            return oldest_ms
    return -(2**63)


def _whole_windows(
    snapshot: Snapshot, windows: WindowBatch, rows: npt.NDArray[np.intp], interval_ms: int
) -> Iterator[tuple[Places, ValueColumn]]:
    """Samples of these rows, and the row beside each; a row's samples come together. rows: in order, one at least."""
    starts, series = windows.start_ms[rows], windows.series[rows]
    first_ms, end_ms = int(starts.min()), int(starts.max()) + interval_ms
    width = np.uint64((end_ms - first_ms) // interval_ms)
    keys = series.astype(np.uint64) * width + ((starts - first_ms) // interval_ms).astype(np.uint64)
    held: tuple[Any, Any] = (np.empty(0, np.int64), np.empty(0, np.float64))
    for batch in stream_samples(snapshot, np.unique(series), first_ms, end_ms, BATCH_ROWS_MAX, _untold):
        places, values = _placed(batch, keys, width, (first_ms, interval_ms))
        places, values = np.concatenate([held[0], rows[places]]), np.concatenate([held[1], values])
        cut = int(np.searchsorted(places, places[-1], "left")) if len(places) else 0  # it may go on in the next batch
        held = (places[cut:], values[cut:])
        if cut:
            yield places[:cut], values[:cut]
    if len(held[0]):
        yield held


def _placed(
    batch: SampleBatch, keys: npt.NDArray[np.uint64], width: np.uint64, grid: tuple[int, int]
) -> tuple[Places, ValueColumn]:
    """Numbers of the keys that samples belong to, and the values of those that belong to any; markers are no values."""
    first_ms, interval_ms = grid
    wanted = batch.series.astype(np.uint64) * width + ((batch.ts_ms - first_ms) // interval_ms).astype(np.uint64)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    inside = (keys[places] == wanted) & (batch.value.view(np.uint64) != np.uint64(STALE_BITS))
    return places[inside], batch.value[inside]


def _quantiles(places: Places, values: ValueColumn, probabilities: ValueColumn) -> ValueColumn:
    """Shape (distinct places, probabilities). places: sorted; values: numbers."""
    values = values[np.lexsort((values, places))]
    _, starts, counts = np.unique(places, return_index=True, return_counts=True)
    ranks = probabilities[None, :] * (counts[:, None] - 1)
    below = np.floor(ranks).astype(np.int64)
    above = np.minimum(below + 1, counts[:, None] - 1)
    lower, higher = values[starts[:, None] + below], values[starts[:, None] + above]
    part = ranks - below
    with np.errstate(invalid="ignore"):  # between infinities
        between: ValueColumn = lower * (1 - part) + higher * part
    return one_nan(np.where((part == 0) | (lower == higher), lower, between))


def _untold(_: Damaged) -> None:
    """Samples that cannot be read are not counted, so the window's estimate stands."""
