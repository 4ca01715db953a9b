"""Deletes series: seals everything received before into blocks, then covers these by a tombstone.

    a running engine      rows of the series in memory? ── yes ──► seal the head ──► tombstone
                                                        └─ no ───────────────────────┘
    a directory           lock it, replay the journal, seal what it held, tombstone, give the lock back

``store/tombstones.py`` describes tombstones, ``rollup/tombstones.py`` their effect on windows.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.config.tree import Config
from nissa.files.lock import DirectoryLock
from nissa.ingest.frozen_head import FrozenHead, FrozenHeadWriter, event_slice_ms
from nissa.ingest.recover import replay_directory, tail_behind
from nissa.ingest.settings import read_settings, under_settings
from nissa.journal.recovery import RecoveryReport
from nissa.model.allowance import Check, no_check
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.errors import BadQuery, Unavailable
from nissa.model.matcher import Selector
from nissa.rollup.tombstones import done
from nissa.series.select import SeriesView, select
from nissa.store.tombstones import Tombstone, Tombstones

ALL_FRAMES = 2**63 - 1


def chosen_series(index: SeriesView, selectors: Iterable[Selector], check: Check = no_check) -> SeriesColumn:
    """Return the ids of series that at least one selector matches, ascending.

    index: the series to search. selectors: as in PromQL. check: called between matchers; raises to cancel.
    """
    found = [np.empty(0, np.uint32), *(select(index, selector, check) for selector in selectors)]
    return np.unique(np.concatenate(found)).astype(np.uint32)


def any_in_memory(heads: Sequence[SampleBatch], series: SeriesColumn, span: tuple[int, int]) -> bool:
    """True if heads hold rows of these series in the half-open interval."""
    for head in heads:
        inside = (head.ts_ms >= span[0]) & (head.ts_ms < span[1])
        if inside.any() and np.isin(head.series[inside], series).any():
            return True
    return False


def bury(
    tombstones: Tombstones, blocks: Sequence[BlockRow], series: SeriesColumn, span: tuple[int, int], now_ms: int
) -> Tombstone | None:
    """Make a tombstone, or return None if no block can have rows of the series in the range.

    tombstones: existing ones. blocks: all of the directory. series: ids, ascending. span: [start, end), Unix
    milliseconds. now_ms: Unix milliseconds. Raises: BadQuery if a limit is exceeded; Unavailable, Damaged.
    """
    if span[0] >= span[1]:
        raise BadQuery(f"a deletion must begin before it ends, got {span[0]} to {span[1]} ms")
    if not len(series) or done([Tombstone(ALL_FRAMES, *span, ALL_FRAMES, now_ms, series)], blocks, has_ladder=False):
        return None
    return tombstones.add(series, *span, now_ms)


def delete_in_directory(
    directory: Path, selectors: Sequence[Selector], span: tuple[int, int], clock: Callable[[], int]
) -> Tombstone | None:
    """Delete in a directory without a daemon. clock: Unix milliseconds.

    Raises: DirectoryLocked where there is one, BadQuery, UnknownFormat, Damaged; Unavailable where the disk refuses.
    """
    with ExitStack() as stack:
        stack.enter_context(DirectoryLock(directory))
        catalogue = Catalogue.open(directory)
        stack.callback(catalogue.close)
        config, report = under_settings(Config(), read_settings(directory)), RecoveryReport()
        storage = config.storage
        tombstones = Tombstones(catalogue, storage.tombstones_max, storage.tombstone_series_max)
        writer = FrozenHeadWriter(directory, catalogue, clock, event_slice_ms(config), tombstones)
        pipeline = replay_directory(directory, catalogue, config, report, writer)
        series = chosen_series(pipeline.index, selectors)
        if pipeline.head.import_rows or any_in_memory(pipeline.head.snapshot(), series, span):
            try:
                writer.write(FrozenHead(pipeline, tail_behind(report, catalogue.checkpoint()).next_lsn - 1))
            except OSError as error:
                raise Unavailable(f"{directory}: what the journal holds cannot be sealed: {error}") from error
        return bury(tombstones, writer.blocks, series, span, clock())
