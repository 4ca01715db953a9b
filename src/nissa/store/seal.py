"""Sealing: a frozen head becomes a raw block, new series a segment of the series table, events an event
block per slice of time (``event_slices.py``).

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
``HighWaterMarks.advance`` remembers what was sealed. Files of a seal that is not
committed are orphaned; the next start deletes them.

``HighWaterMarks`` holds the latest sealed time of each series that was sealed lately, 8 bytes each. Rows later than
that cannot stand in any block, so traffic in order costs one comparison per row; only the others are looked up, in the
row groups their series and times lie in.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.columns import SortedRows
from nissa._fast.latest_times import LatestTimes
from nissa._fast.selection import against_sorted
from nissa.catalogue.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.files.checked_file import FileGone
from nissa.files.names import RAW_KIND, locate
from nissa.model.columns import EventBatch, SampleBatch
from nissa.model.errors import Damaged
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.store.bands import KeysOf
from nissa.store.blocks import GROUP_ROWS, BlockWriter, read_block
from nissa.store.event_slices import Frames, write_event_slices
from nissa.store.import_blocks import write_imports
from nissa.store.series_copy import delete_segment
from nissa.store.series_table import SeriesRows, write_series
from nissa.store.tombstones import Tombstone, covers_of, surviving

NEVER_MS = -(2**63)
KEPT_MS = 2 * HOUR_MS  # of series that were not sealed for longer, one time stands for thousands
LatestRows = tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]
ABSENT, WINS, EQUAL = 0, 1, 2  # of ``against_sorted``; 3 loses


class SealInput(msgspec.Struct, frozen=True):
    """A frozen head. batches: rows in order of arrival. series: new series since the last seal, if any.

    event_slice_ms: the width of the slices that events are cut into. tombstones: rows they delete are no duplicates.
    blocks: all blocks, held; or those of the catalogue, if no files are deleted meanwhile. imports: rows older than
    the acceptance window, which go into a block of their own. keys_of: keys of the metrics of series, whose rows are to
    lie together; None: rows are sorted by series.
    """

    batches: Sequence[SampleBatch]
    first_lsn: int
    last_lsn: int
    created_ms: int
    series: SeriesRows | None = None
    events: Sequence[EventBatch] = ()
    event_slice_ms: int = DAY_MS
    tombstones: Sequence[Tombstone] = ()
    blocks: Sequence[BlockRow] | None = None
    imports: Sequence[SampleBatch] = ()
    keys_of: KeysOf | None = None


class Sealed(msgspec.Struct, frozen=True):
    """Result of a seal: the files, and the rows that did not become a new stored sample.

    duplicates: uint32, row numbers over all batches, ascending: stored rows = rows of the head - duplicates.
    conflicts: uint8, parallel: 1 where the sample that is kept (or was, before this row took its place) has other bits.
    latest: (series, ts_ms), sorted: the last row written of each series, for ``HighWaterMarks.advance``.
    import_duplicates, import_conflicts: row numbers over all imported batches that repeat another of them, and those
    of them with other bits.
    """

    blocks: tuple[BlockRow, ...]
    segment: SeriesSegment | None
    duplicates: npt.NDArray[np.uint32]
    conflicts: npt.NDArray[np.uint8]
    latest: LatestRows
    import_duplicates: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
    import_conflicts: npt.NDArray[np.uint32] = np.empty(0, np.uint32)


class HighWaterMarks:
    """The latest sealed ts_ms of each series, of which it may be too late but never too early.

    For the seal thread only.
    """

    def __init__(self, blocks: Sequence[BlockRow], series_count: int) -> None:
        """blocks: all there are; until a series is sealed again, the latest time of any block stands for it."""
        latest = max((block.max_ms for block in blocks if block.kind == RAW_KIND), default=NEVER_MS)
        self._latest = LatestTimes(latest, series_count)
        self._newest_ms = latest

    def rows_behind(self, batch: SampleBatch) -> npt.NDArray[np.uint32]:
        """Rows that may stand in a block."""
        return self._latest.rows_behind(batch.series, batch.ts_ms)

    def advance(self, sealed: Sealed) -> None:
        """Take note of a committed seal."""
        series, ts_ms = sealed.latest
        self._latest.raise_times(series, ts_ms)
        self._newest_ms = max(self._newest_ms, int(ts_ms.max(initial=NEVER_MS)))
        self._latest.let_go(max(self._newest_ms, NEVER_MS + KEPT_MS) - KEPT_MS)


def write_seal(directory: Path, catalogue: Catalogue, horizon: HighWaterMarks, head: SealInput) -> Sealed:
    """Sort, resolve and write a head. The files are not in force yet: see above. Cost: about 50 ns per row.

    directory: the data directory. catalogue: gives ids and blocks. horizon: latest sealed times. head: rows, events and
    series. Raises: OSError if the disk refuses; then no file of it is left.
    """
    blocks: list[BlockRow] = []
    segment = None
    try:
        if head.series is not None and len(head.series):
            segment = write_series(directory, catalogue.new_id(), head.series, head.last_lsn)
        block, duplicates, conflicts, latest = _write_samples(directory, catalogue, horizon, head)
        if block is not None:
            blocks.append(block)
        imported = write_imports(directory, catalogue, head.imports, (head.first_lsn, head.last_lsn), head.created_ms)
        blocks += imported.blocks
        if any(len(batch) for batch in head.events):
            frames = Frames(0, head.first_lsn, head.last_lsn, head.created_ms)
            blocks += write_event_slices(directory, catalogue, head.events, frames, head.event_slice_ms)
    except BaseException:  # raised again; the files must not stay
        _delete(directory, blocks, segment)
        raise
    return Sealed(tuple(blocks), segment, duplicates, conflicts, latest, imported.duplicates, imported.conflicts)


def stand_against_blocks(
    directory: Path,
    blocks: Sequence[BlockRow],
    batch: SampleBatch,
    behind: npt.NDArray[np.uint32],
    tombstones: Sequence[Tombstone] = (),
    *,
    missing_ok: bool = False,
) -> npt.NDArray[np.uint8]:
    """Compares each row of a sorted batch with the blocks (``against_sorted``); only rows ``behind`` are looked up.

    What is damaged holds nothing, and deleted rows do not count. missing_ok: a file that is not there is damaged, as to
    whoever holds ``blocks``. Raises: FileGone.
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
        deleted = covers_of(block, tombstones)
        try:
            for found in read_block(directory, block, series, start_ms, end_ms):
                rows = surviving(found, deleted)
                against_sorted(series, ts_ms, value, rows.series, rows.ts_ms, rows.value, some)
        except Damaged as damage:  # reported by readers and ``nissa verify``; new data must not wait for a repair
            if isinstance(damage, FileGone) and not missing_ok:
                raise
    standing[behind] = some
    return standing


def _write_samples(
    directory: Path, catalogue: Catalogue, horizon: HighWaterMarks, head: SealInput
) -> tuple[BlockRow | None, npt.NDArray[np.uint32], npt.NDArray[np.uint8], LatestRows]:
    rows = SortedRows([(batch.series, batch.ts_ms, batch.value) for batch in head.batches if len(batch)])
    there = catalogue.blocks(RAW_KIND) if head.blocks is None else head.blocks
    blocks = [block for block in there if block.kind == RAW_KIND]
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
                standing = stand_against_blocks(directory, blocks, batch, behind, head.tombstones, missing_ok=True)
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
            if writer is None:
                number, created_ms, keys_of = catalogue.new_id(), head.created_ms, head.keys_of
                writer = BlockWriter(directory, number, level=0, created_ms=created_ms, keys_of=keys_of)
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
    for block in blocks:
        locate(directory, block.path).unlink(missing_ok=True)
    if segment is not None:
        delete_segment(directory, segment.path)
