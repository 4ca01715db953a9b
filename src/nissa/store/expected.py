"""Estimates the rows of series from the footers of raw blocks, to bound how much is read at a time.

    row group    series 100 to 119, 12:00 to 14:00, 9,600 rows       ──▶   480 each, of the second half 240 each

A row group's rows count as spread evenly over its series and times. Blocks whose footers cannot be read count as
empty; reading their rows reports the damage.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from nissa.files.names import RAW_KIND, locate
from nissa.model.columns import SeriesColumn
from nissa.model.errors import Damaged
from nissa.store.bands import RowOrder, order_of
from nissa.store.block_footer import BlockFooter, read_footer
from nissa.store.blocks import groups_of
from nissa.store.read import Snapshot


def expected_rows(
    snapshot: Snapshot, ids: SeriesColumn, start_ms: int, end_ms: int, few: float = 0.0
) -> npt.NDArray[np.float64]:
    """Rows in [start_ms, end_ms) of each series, float64. Rows in memory are not counted.

    ids: ascending. few: where the row groups have at most so many rows together, all are counted, and spread evenly
    over the series, which takes less time; their sum is then no less than what is read.
    """
    listed = np.zeros(len(ids))
    if not len(ids):
        return listed
    found = list(_row_groups(snapshot, ids, start_ms, end_ms))
    most = sum(float(rows.sum()) for _, _, _, rows in found)
    if most <= few:
        return listed + most / len(ids)
    changes = np.zeros(len(ids) + 1)  # from one series to the next
    for footer, order, groups, rows in found:
        if order is not None:
            each = rows / (order.last[groups].astype(np.int64) - order.first[groups] + 1)
            listed += _of_series(order, groups, each, ids)
            continue
        each = rows / (footer.series_max[groups].astype(np.int64) - footer.series_min[groups] + 1)
        np.add.at(changes, ids.searchsorted(footer.series_min[groups], "left"), each)
        np.subtract.at(changes, ids.searchsorted(footer.series_max[groups], "right"), each)
    return np.maximum(np.cumsum(changes[:-1]), 0.0) + listed


def _row_groups(
    snapshot: Snapshot, ids: SeriesColumn, start_ms: int, end_ms: int
) -> Iterator[tuple[BlockFooter, RowOrder | None, npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """The row groups of each block that may hold rows of these series, and the rows of each in the interval."""
    for block in snapshot.blocks:
        if block.kind != RAW_KIND or block.max_ms < start_ms or block.min_ms >= end_ms:
            continue
        try:
            path = locate(snapshot.directory, block.path)
            footer = read_footer(str(path), block.seal)
            order = order_of(path, block.seal, footer)
        except Damaged:
            continue
        groups = groups_of(footer, order, ids, start_ms, end_ms)
        low, high = footer.time_min[groups], footer.time_max[groups] + 1
        inside = np.minimum(high, end_ms) - np.maximum(low, start_ms)
        yield footer, order, groups, footer.rows[groups] * inside / (high - low)


def _of_series(
    order: RowOrder, groups: npt.NDArray[np.int64], each: npt.NDArray[np.float64], ids: SeriesColumn
) -> npt.NDArray[np.float64]:
    """Rows of each series in some row groups. each: rows of one series of a row group, beside groups."""
    at, end = order.series.searchsorted(ids, "left"), order.series.searchsorted(ids, "right")
    found = np.zeros(len(ids))
    while (there := at < end).any():  # once for each band that one of them has rows in
        places = order.places[at[there]]
        found[there] += _up_to(order.first[groups], each, places, "right")
        found[there] -= _up_to(order.last[groups], each, places, "left")
        at += 1
    return found


def _up_to(
    borders: npt.NDArray[np.uint32],
    each: npt.NDArray[np.float64],
    places: npt.NDArray[np.uint32],
    side: Literal["left", "right"],
) -> npt.NDArray[np.float64]:
    """The sum of ``each`` over the borders before each place. borders: ascending. side: as of ``searchsorted``."""
    sums = np.concatenate([np.zeros(1), np.cumsum(each)])
    return sums[borders.searchsorted(places, side)]
