"""A generation: a head that takes no more frames, with the state of everything at its last frame; and its writer.

    Generation ──► write_seal (files, synced) ──► duplicates known ──► Catalogue.commit_seal ──► written
                        once                           once                 as often as it takes

The files and the counts are made once. Where the catalogue cannot be written, the same are offered to it again: an
error of its commit does not tell whether the bytes reached the disk, so files it may name after a crash must stay.
"""

import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nissa._fast.series import SeriesIndex
from nissa.ingest.pipeline import Pipeline, lost_records
from nissa.model.columns import Metadata
from nissa.model.tally import Tallies, copy_tallies
from nissa.store.catalogue import BlockRow, Catalogue, Checkpoint, Seal
from nissa.store.claims import Claims
from nissa.store.seal import Sealed, SealedHorizon, SealInput, write_seal
from nissa.store.series_table import SeriesRows


class Generation:
    """Frozen on the engine thread, written on another one."""

    def __init__(self, pipeline: Pipeline, lsn: int) -> None:
        """lsn: the last one appended; the state is that behind it."""
        self.head = pipeline.head
        self.lsn = lsn
        self.begun_ms = 0  # the clock then, where the ladder is to be told
        self.tallies: Tallies = copy_tallies(pipeline.tallies)
        self.index: SeriesIndex = pipeline.index
        self.series_count = pipeline.index.series_count
        self.seen_minutes = pipeline.index.seen_minutes_of()
        self.swept_minute = pipeline.swept_minute
        self.metadata: list[Metadata] = list(pipeline.metadata_changed.values())
        self.frame_ms, self.last_frame_ms = pipeline.clock.now_ms, pipeline.clock.last_ms
        self.remembered = pipeline.remembered.freeze(above_lsn=pipeline.sealed_lsn)
        self.written: Sealed | None = None
        self.duplicates: dict[str, int] = {}
        self.conflicts: dict[str, int] = {}
        self.sealed = threading.Event()
        self.failed = threading.Event()  # it will never be sealed by this process
        self.tries = 0  # begun so far
        self.failed_try = 0  # the last one that failed
        self.error: str | None = None

    def settle(self, tallies: Tallies) -> None:
        """Tell ``tallies`` which rows turned out to be stored already."""
        note_duplicates(tallies, self.duplicates, self.conflicts)

    def give_up(self, tallies: Tallies) -> None:
        """The journal could not keep what is not durable: forget those rows, told here and to the live ``tallies``."""
        for span in self.head.in_flight:
            for kept in (tallies, self.tallies):
                lost_records(kept[span.source], span)
        self.remembered.forget_above(self.head.visible_lsn)
        self.head.truncate()  # last: from here on the sealer takes what is left


class GenerationWriter:
    """What has been sealed of a directory, and how more is added. For one thread at a time.

    blocks: all there are, oldest first. checkpoint_lsn: up to where they stand for the journal.
    """

    def __init__(self, directory: Path, catalogue: Catalogue, clock: Callable[[], int]) -> None:
        """clock: Unix milliseconds."""
        checkpoint = catalogue.checkpoint()
        self.directory = directory
        self.blocks: tuple[BlockRow, ...] = tuple(catalogue.blocks())
        self.checkpoint_lsn = checkpoint.lsn
        self._catalogue = catalogue
        self._clock = clock
        self._series_sealed = checkpoint.series_count
        self._horizon = SealedHorizon(self.blocks, checkpoint.series_count)

    def write(self, generation: Generation) -> None:
        """Bring ``generation`` into blocks and the catalogue. May be called again for the same one after an error.

        Raises: OSError, Unavailable where the disk refuses.
        """
        if generation.written is None:
            generation.written = self._write_files(generation)
        sealed = generation.written
        minutes = pack_minutes(generation.seen_minutes, generation.swept_minute)
        checkpoint = Checkpoint(generation.lsn, generation.series_count, generation.tallies, minutes)
        remembered = generation.remembered
        claims = Claims(generation.frame_ms, generation.last_frame_ms, remembered.held(), remembered.columns())
        seal = Seal(checkpoint, sealed.blocks, sealed.segment, tuple(generation.metadata), claims)
        self._catalogue.commit_seal(seal)
        self._horizon.advance(sealed)
        self._series_sealed = generation.series_count
        self.blocks += sealed.blocks
        self.checkpoint_lsn = generation.lsn

    def _write_files(self, generation: Generation) -> Sealed:
        head = generation.head
        sealed = write_seal(self.directory, self._catalogue, self._horizon, self._input_of(generation))
        generation.duplicates = head.sources_of(sealed.duplicates)
        generation.conflicts = head.sources_of(sealed.duplicates[sealed.conflicts != 0])
        generation.settle(generation.tallies)
        return sealed

    def _input_of(self, generation: Generation) -> SealInput:
        head, index = generation.head, generation.index
        first, count = self._series_sealed, generation.series_count - self._series_sealed
        series = None
        if count:
            starts, pairs = index.pairs_of(first, count)
            offsets, text = index.symbols_of(0, index.symbol_count)
            series = SeriesRows(first, index.fingerprints_of(first, count), starts, pairs, offsets, text)
        return SealInput(
            head.snapshot(),
            head.spans[0].lsn if head.spans else generation.lsn,
            generation.lsn,
            self._clock(),
            series,
            [events for _, events in head.events],
        )


def note_duplicates(tallies: Tallies, duplicates: dict[str, int], conflicts: dict[str, int]) -> None:
    """Move rows that turned out to be stored already from stored to duplicate."""
    for source, count in duplicates.items():
        tally = tallies[source]
        tally.stored -= count
        tally.duplicate += count
        tally.conflicts += conflicts.get(source, 0)


def pack_minutes(seen_minutes: npt.NDArray[np.uint32], swept_minute: int) -> bytes:
    """When each series was last seen, and when idle ones were last looked for; small, for they hardly differ."""
    minutes = np.concatenate([np.array([swept_minute], np.uint32), seen_minutes])
    return zlib.compress(np.diff(minutes, prepend=np.uint32(0)).tobytes(), 1)


def unpack_minutes(packed: bytes) -> tuple[npt.NDArray[np.uint32], int]:
    """The inverse of ``pack_minutes``; no series and 0 for no bytes."""
    if not packed:
        return np.empty(0, np.uint32), 0
    minutes = np.cumsum(np.frombuffer(zlib.decompress(packed), np.uint32), dtype=np.uint32)
    return minutes[1:], int(minutes[0])
