"""Counters by source at one moment, including duplicates in the head that only the next seal will count.

Duplicates are counted finally when a head is sealed. Until then they are computed here: rows of a head that repeat
another row of a head, or a row of a block.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nissa._fast.columns import SortedRows
from nissa.catalogue.catalogue import BlockRow
from nissa.files.names import RAW_KIND
from nissa.ingest.frozen_head import note_duplicates
from nissa.ingest.head import Head
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.sealing import Sealer
from nissa.model.columns import SampleBatch
from nissa.model.counters import Tallies, copy_tallies
from nissa.store.blocks import GROUP_ROWS
from nissa.store.seal import ABSENT, EQUAL, HighWaterMarks, stand_against_blocks
from nissa.store.tombstones import Tombstone


def balance(pipeline: Pipeline, sealer: Sealer) -> Callable[[], Tallies]:
    """Take the state, on the engine thread. Returns a function that computes the balance, on any other thread."""
    view = sealer.view(lambda: pipeline.head)
    tallies = copy_tallies(pipeline.tallies)
    for frozen_head in view.unsettled:
        frozen_head.complete(tallies)
    heads = [_Frozen(head) for head in view.heads]
    for head in heads:
        head.move_in_flight(tallies)
    series_count = pipeline.index.series_count

    def work_out() -> Tallies:
        with view.held as held:
            stored = (held.blocks, view.tombstones)
            _count_duplicates(tallies, sealer.directory, stored, heads, series_count, missing_ok=True)
        return tallies

    return work_out


def balance_of(
    directory: Path, blocks: Sequence[BlockRow], pipeline: Pipeline, tombstones: Sequence[Tombstone] = ()
) -> Tallies:
    """Return the counters by source of a directory that no process writes, or of a reader of it.

    directory: the data directory. blocks: its blocks. pipeline: after the replay of the journal. tombstones: of its
    deletions. Raises: FileGone.
    """
    tallies = copy_tallies(pipeline.tallies)
    stored = (blocks, tombstones)
    _count_duplicates(tallies, directory, stored, [_Frozen(pipeline.head)], pipeline.index.series_count)
    return tallies


class _Frozen:
    """The part of a head that existed when the state was taken."""

    def __init__(self, head: Head) -> None:
        lsn, self.visible = head.published
        self.batches = head.snapshot(self.visible)
        self.in_flight = head.spans_above(lsn)
        self.sources_of = head.sources_of

    def move_in_flight(self, tallies: Tallies) -> None:
        """Counts rows that are not durable yet as in flight, not as stored."""
        for span in self.in_flight:
            tallies[span.source].stored -= span.records
            tallies[span.source].in_flight += span.records


def _count_duplicates(
    tallies: Tallies,
    directory: Path,
    stored: tuple[Sequence[BlockRow], Sequence[Tombstone]],
    heads: Sequence[_Frozen],
    series_count: int,
    *,
    missing_ok: bool = False,
) -> None:
    """Move rows that repeat another row from stored to duplicate, by the rule of ``store/seal.py``."""
    blocks, tombstones = stored
    parts = [(batch.series, batch.ts_ms, batch.value) for head in heads for batch in head.batches]
    if not parts:
        return
    raw = [block for block in blocks if block.kind == RAW_KIND]
    rows = SortedRows(parts)
    horizon = HighWaterMarks(raw, series_count)
    duplicates, conflicts = [np.empty(0, np.uint32)], [np.empty(0, np.uint8)]
    while True:
        series, ts_ms, value, origins = rows.next_rows(GROUP_ROWS)
        if not len(origins):
            break
        batch = SampleBatch(series, ts_ms, value)
        behind = horizon.rows_behind(batch)
        standing = stand_against_blocks(directory, raw, batch, behind, tombstones, missing_ok=missing_ok)
        met = np.flatnonzero(standing != ABSENT)
        duplicates.append(origins[met])
        conflicts.append((standing[met] != EQUAL).astype(np.uint8))
    dropped, differs = rows.dropped_rows()
    repeated, differing = np.concatenate([dropped, *duplicates]), np.concatenate([differs, *conflicts])
    first = 0
    for head in heads:
        own = (repeated >= first) & (repeated < first + head.visible)
        note_duplicates(
            tallies,
            head.sources_of(repeated[own] - first),
            head.sources_of(repeated[own & (differing != 0)] - first),
        )
        first += head.visible
