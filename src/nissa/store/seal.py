"""Sealing: a frozen head becomes a raw block, new series a segment of the series table, events an event block.

    rows of the head     sorted, resolved     against the blocks         written
    ────────────────     ────────────────     ──────────────────         ───────
    7 @10  1.0           7 @10  1.0           later than all of 7's      7 @10  1.0
    7 @20  2.0           7 @20  2.0           stands there as 2.0        —            duplicate
    7 @20  2.0           —                                               —            duplicate
    7 @30  5.0           7 @30  5.0           stands there as 4.0        7 @30  5.0   duplicate, conflict

The last row replaces a sample that is stored already, with a value that beats it: one sample more is on disk until the
blocks are merged, but no sample more is stored.

``write_seal`` makes files and returns rows for the catalogue; what it returns exists only once
``Catalogue.commit_seal`` has committed it, together with the tallies the caller makes of the duplicates. Then
``SealedHorizon.advance`` remembers what was sealed. Files of a seal that is given up are deleted by ``discard_seal``,
or as garbage at the next start.

``SealedHorizon`` holds the latest sealed time of each series, 8 bytes each. Rows later than that cannot stand in any
block, so traffic in order costs one comparison per row; only the others are looked up, in the row groups their series
and times lie in.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.columns import SortedRows
from nissa._fast.selection import against_sorted, raise_latest, rows_behind
from nissa.model.columns import EventBatch, SampleBatch
from nissa.model.errors import Damaged
from nissa.store.blocks import GROUP_ROWS, BlockWriter, read_block
from nissa.store.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.store.event_blocks import write_events
from nissa.store.names import RAW_KIND, locate
from nissa.store.series_table import SeriesRows, write_series

NEVER_MS = -(2**63)
LatestRows = tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]
ABSENT, WINS, EQUAL = 0, 1, 2  # of ``against_sorted``; 3 loses


class SealInput(msgspec.Struct, frozen=True):
    """A frozen head. batches: rows in order of arrival. series: new series since the last seal, if any."""

    batches: Sequence[SampleBatch]
    first_lsn: int
    last_lsn: int
    created_ms: int
    series: SeriesRows | None = None
    events: Sequence[EventBatch] = ()


class Sealed(msgspec.Struct, frozen=True):
    """What was written, and which rows did not become a new stored sample.

    duplicates: uint32, row numbers over all batches, ascending: stored rows = rows of the head - duplicates.
    conflicts: uint8, parallel: 1 where the sample that is kept (or was, before this row took its place) has other bits.
    latest: (series, ts_ms), sorted: the last row written of each series, for ``SealedHorizon.advance``.
    """

    blocks: tuple[BlockRow, ...]
    segment: SeriesSegment | None
    duplicates: npt.NDArray[np.uint32]
    conflicts: npt.NDArray[np.uint8]
    latest: LatestRows


class SealedHorizon:
    """The latest sealed ts_ms of each series, of which it may be too late but never too early.

    For the sealer thread only.
    """

    def __init__(self, blocks: Sequence[BlockRow], series_count: int) -> None:
        """blocks: all there are; until a series is sealed again, the latest time of any block stands for it."""
        latest = max((block.max_ms for block in blocks if block.kind == RAW_KIND), default=NEVER_MS)
        self._latest_ms = np.full(series_count, latest, np.int64)

    def rows_behind(self, batch: SampleBatch) -> npt.NDArray[np.uint32]:
        """Rows that may stand in a block."""
        return rows_behind(batch.series, batch.ts_ms, self._latest_ms)

    def advance(self, sealed: Sealed) -> None:
        """Take note of a committed seal."""
        series, ts_ms = sealed.latest
        known, needed = len(self._latest_ms), int(series[-1]) + 1 if len(series) else 0
        if needed > known:
            grown = np.full(max(needed, known + known // 2), NEVER_MS, np.int64)
            grown[:known] = self._latest_ms
            self._latest_ms = grown
        raise_latest(series, ts_ms, self._latest_ms)


def write_seal(directory: Path, catalogue: Catalogue, horizon: SealedHorizon, head: SealInput) -> Sealed:
    """Sort, resolve and write a head. Nothing exists yet: see above. Cost: about 50 ns per row, on the calling thread.

    Raises: OSError where the disk refuses; nothing stays then.
    """
    blocks: list[BlockRow] = []
    segment = None
    try:
        if head.series is not None and len(head.series):
            segment = write_series(directory, catalogue.new_id(), head.series)
        block, duplicates, conflicts, latest = _write_samples(directory, catalogue, horizon, head)
        if block is not None:
            blocks.append(block)
        if any(len(batch) for batch in head.events):
            number = catalogue.new_id()
            blocks.append(write_events(directory, number, head.events, head.first_lsn, head.last_lsn, head.created_ms))
    except BaseException:  # raised again; the files must not stay
        _delete(directory, blocks, segment)
        raise
    return Sealed(tuple(blocks), segment, duplicates, conflicts, latest)


def discard_seal(directory: Path, sealed: Sealed) -> None:
    """Delete the files of a seal that was not committed."""
    _delete(directory, sealed.blocks, sealed.segment)


def stand_against_blocks(
    directory: Path, blocks: Sequence[BlockRow], batch: SampleBatch, behind: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint8]:
    """How each row of a sorted batch stands to the blocks (``against_sorted``); only rows ``behind`` are looked up.

    What is damaged holds nothing. Raises: FileGone.
    """
    standing = np.zeros(len(batch), np.uint8)
    if not len(behind):
        return standing
    series, ts_ms, value = batch.series[behind], batch.ts_ms[behind], batch.value[behind]
    start_ms, end_ms = int(ts_ms.min()), int(ts_ms.max()) + 1
    some = np.zeros(len(behind), np.uint8)
    for block in blocks:
        apart = block.max_ms < start_ms or block.min_ms >= end_ms
        if apart or block.series_max < int(series[0]) or block.series_min > int(series[-1]):
            continue
        try:
            for rows in read_block(directory, block, series, start_ms, end_ms):
                against_sorted(series, ts_ms, value, rows.series, rows.ts_ms, rows.value, some)
        except Damaged:  # told by readers and ``nissa verify``; new data must not wait, and stored twice is read once
            continue
    standing[behind] = some
    return standing


def _write_samples(
    directory: Path, catalogue: Catalogue, horizon: SealedHorizon, head: SealInput
) -> tuple[BlockRow | None, npt.NDArray[np.uint32], npt.NDArray[np.uint8], LatestRows]:
    rows = SortedRows([(batch.series, batch.ts_ms, batch.value) for batch in head.batches if len(batch)])
    blocks = catalogue.blocks(RAW_KIND)
    writer: BlockWriter | None = None
    duplicates, conflicts, last_series, last_ms = [], [], [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    try:
        while True:
            series, ts_ms, value, origins = rows.next_rows(GROUP_ROWS)
            if not len(series):
                break
            batch = SampleBatch(series, ts_ms, value)
            behind = horizon.rows_behind(batch)
            if len(behind):
                standing = stand_against_blocks(directory, blocks, batch, behind)
                met = np.flatnonzero(standing != ABSENT)
                duplicates.append(origins[met])
                conflicts.append((standing[met] != EQUAL).astype(np.uint8))
                kept = standing <= WINS
                batch = SampleBatch(series[kept], ts_ms[kept], value[kept])
            if not len(batch):
                continue
            ends = np.append(np.flatnonzero(batch.series[1:] != batch.series[:-1]), len(batch) - 1)
            last_series.append(batch.series[ends])
            last_ms.append(batch.ts_ms[ends])
            writer = writer or BlockWriter(directory, catalogue.new_id(), level=0, created_ms=head.created_ms)
            writer.write(batch)
        block = writer.finish(head.first_lsn, head.last_lsn) if writer is not None else None
    except BaseException:  # raised again; the files must not stay
        if writer is not None:
            writer.discard()
        raise
    dropped, differs = rows.dropped_rows()
    all_duplicates, all_conflicts = np.concatenate([dropped, *duplicates]), np.concatenate([differs, *conflicts])
    order = np.argsort(all_duplicates, kind="stable")
    return block, all_duplicates[order], all_conflicts[order], (np.concatenate(last_series), np.concatenate(last_ms))


def _delete(directory: Path, blocks: Sequence[BlockRow], segment: SeriesSegment | None) -> None:
    for path in [block.path for block in blocks] + ([] if segment is None else [segment.path]):
        locate(directory, path).unlink(missing_ok=True)
