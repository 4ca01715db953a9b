"""Checks the rows of a block while they are read: their order, number and range.

row of the catalogue, or facts of the footer     rows 4,000,000   times [a, b]   series [0, 1999]
the file, read whole                             rows 3,999,999   …                                 ──► a fault
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from nissa._fast.selection import first_unsorted
from nissa.catalogue.catalogue import BlockRow
from nissa.files.names import IMPORT_KIND, RAW_KIND, is_tier_kind
from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.errors import Damaged
from nissa.model.units import EVER_MS
from nissa.store.bands import runs_of
from nissa.store.blocks import OpenBlock
from nissa.store.event_blocks import read_events
from nissa.store.tier_blocks import read_tier_block

START_MS, END_MS = -(2**63), 2**63 - 1


class RowsFound(msgspec.Struct, frozen=True):
    """Rows of one block. Both ends inclusive; series 0 for events. fault: why they are not in order, if not."""

    rows: int = 0
    min_ms: int = END_MS
    max_ms: int = START_MS
    series_min: int = 0
    series_max: int = 0
    fault: str = ""


def find_rows(directory: Path, block: BlockRow) -> RowsFound:
    """Read a block whole. Of its row only path, kind and checksums are used. Raises: FileGone, Damaged."""
    if block.kind in (RAW_KIND, IMPORT_KIND):
        opened = OpenBlock(directory, block)
        try:
            return _in_order(_samples(opened))
        except _OtherOrderError as error:
            return RowsFound(fault=str(error))
        finally:
            opened.close()
    if is_tier_kind(block.kind):
        windows = read_tier_block(directory, block, None, START_MS, END_MS)
        return _in_order((batch.series, batch.start_ms) for batch in windows)
    times = [event["time_ms"] for event in read_events(directory, block, *EVER_MS)]
    fault = "" if times == sorted(times) else "its events are not sorted by time"
    return RowsFound(len(times), min(times, default=END_MS), max(times, default=START_MS), fault=fault)


class _OtherOrderError(Exception):
    """Rows that are not where the footer says."""


def _samples(opened: OpenBlock) -> Iterator[tuple[SeriesColumn, TimeColumn]]:
    """The rows of a block in order of series, if they lie as its footer says.

    Raises: _OtherOrderError, FileGone, Damaged.
    """
    expected = None if opened.order is None else opened.order.in_file()
    for groups in opened.bands(None, START_MS, END_MS):
        parts = []
        for group in groups:
            rows = opened.read_group(group, None, START_MS, END_MS)
            if opened.order is not None and expected is not None:
                own = expected[opened.order.first[group] : opened.order.last[group] + 1]
                if not np.array_equal(runs_of([rows]).series, own):
                    raise _OtherOrderError(f"row group {group} has other series than the footer says")
            parts.append(rows)
        for batch in opened.by_series(parts):
            yield batch.series, batch.ts_ms


def rows_fault(directory: Path, block: BlockRow) -> str:
    """The difference between the rows of a block and its catalogue row, or why they cannot be read; empty for none."""
    try:
        found = find_rows(directory, block)
    except Damaged as error:
        return str(error)
    expected = RowsFound(block.rows, block.min_ms, block.max_ms, block.series_min, block.series_max)
    if found.fault or found == expected:
        return found.fault
    return f"rows, times and series are {_shown(found)}, the catalogue says {_shown(expected)}"


def _in_order(parts: Iterable[tuple[SeriesColumn, TimeColumn]]) -> RowsFound:
    rows, min_ms, max_ms = 0, END_MS, START_MS
    before: tuple[int, int] | None = None
    first_series = last_series = 0
    for series, ts_ms in parts:
        first = (int(series[0]), int(ts_ms[0]))
        wrong = first_unsorted(series, ts_ms)
        if wrong >= 0 or (before is not None and first <= before):
            return RowsFound(fault=f"row {rows + max(wrong, 0)} is not sorted by series and time")
        before = (int(series[-1]), int(ts_ms[-1]))
        first_series, last_series = (first[0] if rows == 0 else first_series), before[0]
        min_ms, max_ms = min(min_ms, int(ts_ms.min())), max(max_ms, int(ts_ms.max()))
        rows += len(series)
    return RowsFound(rows, min_ms, max_ms, first_series, last_series)


def _shown(found: RowsFound) -> tuple[int, int, int, int, int]:
    return found.rows, found.min_ms, found.max_ms, found.series_min, found.series_max
