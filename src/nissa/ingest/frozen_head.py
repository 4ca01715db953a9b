"""A generation: a head that takes no more frames, with the state of everything at its last frame; and its writer.

    Generation ──► write_seal (files, synced) ──► duplicates known ──► Catalogue.commit_seal ──► written
                        once                           once                 as often as it takes

The files and the counts are made once. Where the catalogue cannot be written, the same are offered to it again: an
error of its commit does not tell whether the bytes reached the disk, so files it may name after a crash must stay.
"""

import threading
import zlib
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nissa._fast.series import SeriesIndex
from nissa._fast.series_restore import active_series, fingerprints_of, texts_of
from nissa.catalogue.catalogue import BlockRow, Catalogue, Checkpoint, Seal, SeriesSegment
from nissa.catalogue.dedup_keys import DedupKeys
from nissa.config.tree import Config
from nissa.ingest.pipeline import Pipeline, lost_records
from nissa.model.columns import DeltaColumns, Metadata, no_deltas
from nissa.model.counters import Tallies, copy_tallies
from nissa.model.errors import BlocksChanged
from nissa.model.slices import Slices
from nissa.model.units import DAY_MS
from nissa.series.metric_keys import MetricKeys
from nissa.store.bands import KeysOf
from nissa.store.block_set import BlockSet
from nissa.store.event_slices import slice_width_ms
from nissa.store.seal import HighWaterMarks, Sealed, SealInput, write_seal
from nissa.store.series_copy import delete_segment
from nissa.store.series_merge import merge_segments, plan_series_drop, plan_series_merge
from nissa.store.series_table import GROUP_ROWS, SeriesRows, write_pieces
from nissa.store.tombstones import Tombstones

_OF_ACTIVE = b"\x02"  # never the first byte of what zlib makes, which stood here alone in earlier builds

Active = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]  # series, and the minute each was last seen


def _nothing() -> None:
    """Nothing else changes in that step."""


class FrozenHead:
    """Frozen on the engine thread, written on another one."""

    def __init__(self, pipeline: Pipeline, lsn: int) -> None:
        """lsn: the last one appended; the state is that behind it."""
        self.head = pipeline.head
        self.lsn = lsn
        self.begun_ms = 0  # when it was frozen, for the ladder; 0 in recovery
        self.tallies: Tallies = copy_tallies(pipeline.tallies)
        self.index: SeriesIndex = pipeline.index
        self.series_count = pipeline.index.series_count
        self.active: Active = active_series(pipeline.index)
        self.swept_minute = pipeline.swept_minute
        self.metadata: list[Metadata] = list(pipeline.metadata_changed.values())
        self.frame_ms, self.last_frame_ms = pipeline.clock.now_ms, pipeline.clock.last_ms
        self.remembered = pipeline.remembered.freeze(above_lsn=pipeline.sealed_lsn)
        self.delta_totals = DeltaColumns(*pipeline.deltas.columns())
        self.written: Sealed | None = None
        self.duplicates: dict[str, int] = {}
        self.conflicts: dict[str, int] = {}
        self.sealed = threading.Event()
        self.failed = threading.Event()  # it will never be sealed by this process
        self.tries = 0  # begun so far
        self.failed_try = 0  # the last one that failed
        self.error: str | None = None

    def complete(self, tallies: Tallies) -> None:
        """Count in ``tallies`` the rows that turned out to be stored already."""
        note_duplicates(tallies, self.duplicates, self.conflicts)

    def give_up(self, tallies: Tallies) -> None:
        """The journal lost what was not durable: forget those rows, and count them here and in the live ``tallies``."""
        for span in self.head.in_flight:
            for kept in (tallies, self.tallies):
                lost_records(kept[span.source], span)
        self.remembered.forget_above(self.head.visible_lsn)
        self.delta_totals = no_deltas()
        self.head.truncate()  # last: from here on the sealer takes what is left


class FrozenHeadWriter:
    """Writes frozen heads into a directory and knows what is sealed.

    ``write`` is for the seal thread, what changes the series table for the maintenance thread; each change is one step
    under ``BlockSet.change``.

    block_set: the blocks. segments: those of the series table, in order of series.
    checkpoint_lsn: the last frame whose rows are in blocks. frozen_ms: everything received before lies in blocks, as a
    head was frozen then, or was empty at the start; 0 before the first seal of a head that was not. tombstones: what is
    deleted of the blocks.
    dropped: ids, ascending, of series that were dropped and are in the series table still.
    """

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        clock: Callable[[], int],
        event_slice_ms: int = DAY_MS,
        tombstones: Tombstones | None = None,
        block_set: BlockSet | None = None,
    ) -> None:
        """clock: Unix milliseconds. event_slice_ms: the width of the slices that events are cut into."""
        checkpoint = catalogue.checkpoint()
        self.directory = directory
        self.block_set = BlockSet(directory, catalogue, clock) if block_set is None else block_set
        self.checkpoint_lsn = checkpoint.lsn
        self.frozen_ms = 0
        self.tombstones = Tombstones(catalogue) if tombstones is None else tombstones
        self._catalogue = catalogue
        self._clock = clock
        self._event_slice_ms = event_slice_ms
        self.segments: tuple[SeriesSegment, ...] = tuple(catalogue.series_segments())
        self.dropped = np.empty(0, np.uint32)
        self._series_sealed = checkpoint.series_count
        self._metric_keys: MetricKeys | None = None
        self._horizon = HighWaterMarks(self.blocks, checkpoint.series_count)

    @property
    def blocks(self) -> tuple[BlockRow, ...]:
        """All there are, oldest first."""
        return self.block_set.blocks

    def write(self, frozen_head: FrozenHead, shown: Callable[[], None] = _nothing) -> None:
        """Bring ``frozen_head`` into blocks and the catalogue. May be called again for the same one after an error.

        shown: called in the step in which the blocks appear in the set. Raises: OSError, Unavailable where the disk
        refuses.
        """
        if frozen_head.written is None:
            frozen_head.written = self._write_files(frozen_head)
        sealed = frozen_head.written
        minutes = pack_minutes(frozen_head.active, frozen_head.swept_minute)
        checkpoint = Checkpoint(frozen_head.lsn, frozen_head.series_count, frozen_head.tallies, minutes)
        remembered = frozen_head.remembered
        dedup_keys = DedupKeys(frozen_head.frame_ms, frozen_head.last_frame_ms, remembered.held(), remembered.columns())
        metadata, deltas = tuple(frozen_head.metadata), frozen_head.delta_totals
        seal = Seal(checkpoint, sealed.blocks, sealed.segment, metadata, dedup_keys, deltas)
        with self.block_set.change:
            self._catalogue.commit_seal(seal)
            self.segments += () if sealed.segment is None else (sealed.segment,)
            with self.block_set.lock:
                self.block_set.replace((), sealed.blocks)
                self.checkpoint_lsn, self.frozen_ms = frozen_head.lsn, frozen_head.begun_ms
                shown()
        self._horizon.advance(sealed)
        self._series_sealed = frozen_head.series_count

    def merge_series(self, fan_in: int, unreadable: Collection[int]) -> Slices[bool]:
        """Merge segments of the series table where enough lie together, or where enough of one was dropped.

        unreadable: ids of some that are left alone. Returns False where there was nothing to merge.
        Raises: as ``merge_segments``; BlocksChanged where one of them was written again meanwhile.
        """
        dropped = self.dropped
        chosen = plan_series_drop(self.segments, dropped, unreadable)
        chosen = chosen or plan_series_merge(self.segments, fan_in, unreadable)
        if chosen:
            place, publish = (self.directory, self._catalogue, chosen), partial(self._exchange_segments, chosen)
            yield from merge_segments(*place, publish, dropped)
            first, last = chosen[0].first_series, chosen[-1].last_series
            gone = dropped[(dropped >= first) & (dropped <= last)]  # others may have been dropped meanwhile
            self.dropped = np.setdiff1d(self.dropped, gone, assume_unique=True)
        return bool(chosen)

    def rewrite_series(self, segment: SeriesSegment, index: SeriesIndex) -> bool:
        """Put another segment in the place of one that cannot be read, out of memory.

        Raises: OSError, Unavailable; BlocksChanged where it has left the table meanwhile.
        """
        ends = range(segment.first_series, segment.last_series + 1, GROUP_ROWS)
        pieces = (series_rows(index, at, min(GROUP_ROWS, ends.stop - at)) for at in ends)
        there = (piece for piece in pieces if len(piece))
        written: tuple[SeriesSegment, ...] = ()
        if (first := next(there, None)) is not None:
            sources = [segment.id]
            written = (write_pieces(self.directory, self._catalogue.new_id(), chain((first,), there), sources=sources),)
        try:
            self._exchange_segments((segment,), written)
        except BlocksChanged:  # raised again; nothing was committed
            for one in written:
                delete_segment(self.directory, one.path)
            raise
        delete_segment(self.directory, segment.path)
        return True

    def _exchange_segments(self, old: tuple[SeriesSegment, ...], new: tuple[SeriesSegment, ...]) -> None:
        gone = {segment.id for segment in old}
        with self.block_set.change:
            self._catalogue.replace_series(old, new)
            left = [segment for segment in self.segments if segment.id not in gone]
            self.segments = tuple(sorted([*left, *new], key=lambda one: one.first_series))

    def _write_files(self, frozen_head: FrozenHead) -> Sealed:
        head = frozen_head.head
        with self.block_set.hold() as held:
            written = self._input_of(frozen_head, held.blocks)
            sealed = write_seal(self.directory, self._catalogue, self._horizon, written)
        frozen_head.duplicates = head.sources_of(sealed.duplicates)
        frozen_head.conflicts = head.sources_of(sealed.duplicates[sealed.conflicts != 0])
        for counts, rows in (
            (frozen_head.duplicates, sealed.import_duplicates),
            (frozen_head.conflicts, sealed.import_conflicts),
        ):
            for source, count in head.sources_of_imports(rows).items():
                counts[source] = counts.get(source, 0) + count
        frozen_head.complete(frozen_head.tallies)
        return sealed

    def _input_of(self, frozen_head: FrozenHead, blocks: Sequence[BlockRow]) -> SealInput:
        head, index = frozen_head.head, frozen_head.index
        first, count = self._series_sealed, frozen_head.series_count - self._series_sealed
        series = series_rows(index, first, count) if count else None
        return SealInput(
            head.snapshot(),
            head.spans[0].lsn if head.spans else frozen_head.lsn,
            frozen_head.lsn,
            self._clock(),
            series,
            [events for _, events in head.events],
            self._event_slice_ms,
            self.tombstones.all,
            blocks,
            [rows for _, rows in head.imports],
            self._keys_of(index),
        )

    def _keys_of(self, index: SeriesIndex) -> KeysOf:
        if self._metric_keys is None or self._metric_keys.index is not index:
            self._metric_keys = MetricKeys(index)
        return self._metric_keys.keys_of


def series_rows(index: SeriesIndex, first: int, count: int) -> SeriesRows:
    """Series [first, first + count) of the index, as a segment of the series table takes them; dropped ones are not."""
    starts, pairs = index.pairs_of(first, count)
    used, places = np.unique(pairs, return_inverse=True)
    offsets, text = texts_of(index, used)
    own = places.reshape(pairs.shape).astype(np.uint32)
    there = np.flatnonzero(starts[1:] > starts[:-1])
    runs = [run for run in np.split(there, np.flatnonzero(np.diff(there) > 1) + 1) if len(run)]
    prints = [fingerprints_of(index, first + int(run[0]), len(run)) for run in runs]
    fingerprints = np.concatenate([np.empty((0, 2), np.uint64), *prints])
    bounds = np.append(starts[:-1][there], starts[-1:])
    return SeriesRows((there + first).astype(np.uint32), fingerprints, bounds, own, offsets, text)


def event_slice_ms(config: Config) -> int:
    """The width of the slices that event blocks are cut into."""
    acceptance = config.acceptance
    return slice_width_ms(config.storage.events_retention_ms, acceptance.event_past_ms, acceptance.event_future_ms)


def note_duplicates(tallies: Tallies, duplicates: dict[str, int], conflicts: dict[str, int]) -> None:
    """Move rows that turned out to be stored already from ``stored`` to ``duplicate``.

    tallies: counters by source, changed. duplicates, conflicts: numbers of rows by source.
    """
    for source, count in duplicates.items():
        counters = tallies[source]
        counters.stored -= count
        counters.duplicate += count
        counters.conflicts += conflicts.get(source, 0)


def pack_minutes(active: Active, swept_minute: int) -> bytes:
    """Minutes in which active series were last seen, and of the last sweep for idle ones; small, for they hardly
    differ."""
    series, minutes = active
    order = np.argsort(series)
    columns = [np.array([swept_minute, len(series)], np.uint32)]
    columns += [np.diff(column[order], prepend=np.uint32(0)) for column in (series, minutes)]
    return _OF_ACTIVE + zlib.compress(np.concatenate(columns).tobytes(), 1)


def unpack_minutes(packed: bytes) -> tuple[Active, int]:
    """The inverse of ``pack_minutes``, by series; no series and 0 for no bytes. Earlier builds packed all series."""
    if not packed:
        return (np.empty(0, np.uint32), np.empty(0, np.uint32)), 0
    if packed.startswith(_OF_ACTIVE):
        numbers = np.frombuffer(zlib.decompress(packed[len(_OF_ACTIVE) :]), np.uint32)
        count = int(numbers[1])
        series, minutes = numbers[2 : 2 + count], numbers[2 + count :]
        return (np.cumsum(series, dtype=np.uint32), np.cumsum(minutes, dtype=np.uint32)), int(numbers[0])
    dense = np.cumsum(np.frombuffer(zlib.decompress(packed), np.uint32), dtype=np.uint32)
    series = np.flatnonzero(dense[1:]).astype(np.uint32)
    return (series, dense[1:][series]), int(dense[0])
