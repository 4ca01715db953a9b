"""Reads the samples of an instant selector, the newest first: for most series they are enough.

    first step, and 5m of lookback before it      |◄────────────────── 5m ──────────────────►▲
    read of all series                                                        |◄─── 90s ────►|
    then of those without a sample in it          |◄─────────────────────────►|                 the last one of each

At a sample a second, a lookback of 5 minutes reads 300 samples of a series to use one.
"""

from typing import Final

import numpy as np

from nissa.model.units import SECOND_MS
from nissa.promql.source import Columns, Selected
from nissa.promql.values import TimeColumn

RECENT_MS: Final = 90 * SECOND_MS  # most series are scraped or sent every minute at least


def read_looking_back(selected: Selected, first: int, last: int, at_ms: TimeColumn, reach_ms: int) -> Columns:
    """The samples that steps find, and perhaps earlier ones.

    selected: of which series [first, last). at_ms: times of the steps, ascending. reach_ms: a step finds the last
    sample in (step - reach_ms, step]. Raises what reading raises.
    """
    if not len(at_ms):
        return selected.read(slice(first, last), 0, 0)
    begun_ms, end_ms = int(at_ms[0]), int(at_ms[-1]) + 1
    far_ms, near_ms = begun_ms - reach_ms + 1, begun_ms - RECENT_MS + 1
    if near_ms - far_ms <= end_ms - near_ms:  # little would be saved
        return selected.read(slice(first, last), far_ms, end_ms)
    near = selected.read(slice(first, last), near_ms, end_ms)
    starts, is_found = near.offsets[:-1], near.offsets[1:] > near.offsets[:-1]
    is_found[is_found] = near.ts_ms[starts[is_found]] <= begun_ms
    rows = np.flatnonzero(~is_found)
    if not len(rows):
        return near
    far = selected.read(rows + first, far_ms, near_ms)
    found = np.flatnonzero(far.offsets[1:] > far.offsets[:-1])
    newest, places = far.offsets[found + 1] - 1, starts[rows[found]]
    more = np.zeros(len(near.offsets), np.int64)
    more[rows[found] + 1] = 1
    return Columns(
        near.offsets + np.cumsum(more),
        np.insert(near.ts_ms, places, far.ts_ms[newest]),
        np.insert(near.value, places, far.value[newest]),
    )
