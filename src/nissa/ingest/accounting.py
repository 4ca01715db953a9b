"""The balance of every source at one moment: what sealing will find out about the head is worked out now.

Duplicates are counted for good when a head is sealed. Until then the same question is asked of the heads as they stand:
which of their rows repeat another row of a head, or one that is in a block already?
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nissa._fast.columns import SortedRows
from nissa.ingest.generation import note_duplicates
from nissa.ingest.head import Head
from nissa.ingest.pipeline import Pipeline
from nissa.ingest.sealing import Sealer
from nissa.model.columns import SampleBatch
from nissa.model.tally import Tallies, copy_tallies
from nissa.store.blocks import GROUP_ROWS
from nissa.store.catalogue import BlockRow
from nissa.store.names import RAW_KIND
from nissa.store.seal import ABSENT, EQUAL, SealedHorizon, stand_against_blocks


def balance(pipeline: Pipeline, sealer: Sealer) -> Callable[[], Tallies]:
    """Take the state, on the engine thread; what is returned works the balance out, on any other.

    What is returned raises FileGone where blocks were merged meanwhile: take the state again.
    """
    view = sealer.view(lambda: pipeline.head)
    tallies = copy_tallies(pipeline.tallies)
    for generation in view.unsettled:
        generation.settle(tallies)
    heads = [_Frozen(head) for head in view.heads]
    for head in heads:
        head.move_in_flight(tallies)
    series_count = pipeline.index.series_count

    def work_out() -> Tallies:
        _count_duplicates(tallies, sealer.directory, view.blocks, heads, series_count)
        return tallies

    return work_out


def balance_of(directory: Path, blocks: Sequence[BlockRow], pipeline: Pipeline) -> Tallies:
    """The balance of a directory that nobody writes meanwhile, or that was read from outside. Raises: FileGone."""
    tallies = copy_tallies(pipeline.tallies)
    _count_duplicates(tallies, directory, blocks, [_Frozen(pipeline.head)], pipeline.index.series_count)
    return tallies


class _Frozen:
    """What of a head was there when the state was taken."""

    def __init__(self, head: Head) -> None:
        lsn, self.visible = head.published
        self.batches = head.snapshot(self.visible)
        self.in_flight = head.spans_above(lsn)
        self.sources_of = head.sources_of

    def move_in_flight(self, tallies: Tallies) -> None:
        """What is not durable yet is in flight, not stored."""
        for span in self.in_flight:
            tallies[span.source].stored -= span.rows + span.events
            tallies[span.source].in_flight += span.rows + span.events


def _count_duplicates(
    tallies: Tallies, directory: Path, blocks: Sequence[BlockRow], heads: Sequence[_Frozen], series_count: int
) -> None:
    """Move what repeats another row from stored to duplicate, by the rule of ``store/seal.py``."""
    parts = [(batch.series, batch.ts_ms, batch.value) for head in heads for batch in head.batches]
    if not parts:
        return
    raw = [block for block in blocks if block.kind == RAW_KIND]
    rows = SortedRows(parts)
    horizon = SealedHorizon(raw, series_count)
    duplicates, conflicts = [np.empty(0, np.uint32)], [np.empty(0, np.uint8)]
    while True:
        series, ts_ms, value, origins = rows.next_rows(GROUP_ROWS)
        if not len(origins):
            break
        batch = SampleBatch(series, ts_ms, value)
        standing = stand_against_blocks(directory, raw, batch, horizon.rows_behind(batch))
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
