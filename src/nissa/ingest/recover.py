"""Opens a data directory: lock, catalogue, series table, and replay of the journal after the checkpoint.

    catalogue ──► secret, checkpoint(lsn, tallies, seen minutes), metadata, packets that are remembered
    series-*.parquet ──► index of series
    journal, frames above lsn ──► pipeline.replay ──► head       the same way new frames go, without the journal
                                       │ grown too large         (replay.py)
                                       ▼
                                  sealed on the way

A writer then continues in a new segment; a reader (``read_directory``) changes nothing and may run while a daemon
writes.

If the settings have changed, the journal is replayed under the old ones and sealed, then the new ones are recorded,
then the directory is read again. After a crash between these steps the directory opens in the same way.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import structlog

from nissa.catalogue.catalogue import BlockRow, Catalogue, Checkpoint, TierRow
from nissa.catalogue.dedup_keys import DedupKeys
from nissa.catalogue.policies import note_policies, read_epochs
from nissa.catalogue.state import State
from nissa.config.tree import Config
from nissa.dedup import FrameClock
from nissa.files.checked_file import FileGone
from nissa.files.lock import DirectoryLock
from nissa.files.names import JOURNAL
from nissa.ingest.frozen_head import FrozenHead, FrozenHeadWriter, event_slice_ms
from nissa.ingest.pipeline import ADMIT_ALL, Pipeline
from nissa.ingest.progress import Progress
from nissa.ingest.replay import ReadFrame, SealBehind, frames_ahead
from nissa.ingest.restored_series import LOST_NAME, RestoredSeries, note_lost, restore_index
from nissa.ingest.settings import read_settings, settings_of, under_settings, write_settings
from nissa.journal.journal import Journal, JournalTail, RecoveryReport, read_journal
from nissa.journal.segment import JournalFrame
from nissa.model.durability import parse_durability
from nissa.model.errors import Damaged, NissaError, Unavailable
from nissa.model.ladder import DEFAULT_TIERS, PolicyEpoch
from nissa.store.block_set import BlockSet
from nissa.store.garbage import clear_orphans, delete_unfinished, find_orphans
from nissa.store.gone import present_blocks
from nissa.store.quarantine import QuarantineRow, read_quarantine
from nissa.store.row_groups import RowGroupCache
from nissa.store.series_copy import mend_segment
from nissa.store.tombstones import Tombstone, Tombstones, read_expired, read_tombstones

READ_ATTEMPTS_MAX = 8
REBUILD = "stop the daemon and run nissa rebuild --replace"
REPAIR = "put the file back, or stop the daemon and run nissa repair"

log = structlog.get_logger()


class Opened(msgspec.Struct):
    """A directory opened for writing. recovery: the report of reading the journal, for ``/api/status``."""

    lock: DirectoryLock
    catalogue: Catalogue
    state: State
    writer: FrozenHeadWriter
    pipeline: Pipeline
    journal: Journal
    recovery: dict[str, Any]
    epochs: tuple[PolicyEpoch, ...] = ()

    def close(self) -> None:
        """Commit pending frames, then give everything back. Raises: JournalFailed, with everything given back."""
        try:
            self.journal.close()
        finally:
            self.state.close()
            self.catalogue.close()
            self.lock.close()


def open_directory(
    directory: Path, config: Config, clock: Callable[[], int], progress: Progress | None = None
) -> Opened:
    """Open ``directory`` for this process alone.

    progress: kept up to date meanwhile; where it is asked to give up, Unavailable is raised.
    Raises: DirectoryLocked, UnknownFormat, Damaged, JournalFailed; Unavailable where settings changed and the disk does
    not take what must be written first. The lock is given back then.
    """
    with ExitStack() as undo:
        lock = DirectoryLock(directory)
        undo.callback(lock.close)
        catalogue = Catalogue.open(directory)
        undo.callback(catalogue.close)
        state = State.open(directory)
        undo.callback(state.close)
        delete_unfinished(directory)
        catalogue.write_manifest()
        orphans = find_orphans(directory, catalogue)
        storage = config.storage
        tombstones = Tombstones(catalogue, storage.tombstones_max, storage.tombstone_series_max)
        tombstones.begin_tiers(config.ladder.tiers)
        block_set = BlockSet(directory, catalogue, clock, RowGroupCache(config.api.row_group_cache_bytes_max))
        writer = FrozenHeadWriter(directory, catalogue, clock, event_slice_ms(config), tombstones, block_set)
        noted, wanted = read_settings(directory), settings_of(config)
        report = RecoveryReport()
        in_force = under_settings(config, noted)
        pipeline = replay_directory(directory, catalogue, in_force, report, writer, progress, spill=True)
        if (garbage := clear_orphans(directory, orphans, report)).kept:
            lost = "the catalogue may have lost commits; files without a row were put aside"
            log.error(lost, reason=garbage.reason, files=garbage.kept, remedy=REBUILD)
        _report_lost(report)
        facts = _facts(report, pipeline)
        tail = tail_behind(report, catalogue.checkpoint())
        if noted != wanted:
            _change_settings(directory, config, writer, pipeline, tail.next_lsn - 1, bool(noted and report.frames))
            if noted is not None:
                pipeline = replay_directory(directory, catalogue, config, RecoveryReport(), spill=True)
            tail = tail_behind(report, catalogue.checkpoint())
        journal = Journal(
            directory / JOURNAL,
            durability=parse_durability(config.storage.durability),
            segment_bytes=config.storage.segment_bytes,
            clock=clock,
            tail=tail,
        )
        undo.callback(journal.close)
        ladder = config.ladder
        epochs = note_policies(catalogue, ladder.policies, ladder.tiers, catalogue.tiers())
        undo.pop_all()
    return Opened(lock, catalogue, state, writer, pipeline, journal, facts, epochs)


def _report_lost(report: RecoveryReport) -> None:
    """Log acknowledged frames that the journal does not have any more."""
    for first, last in report.rot_ranges:
        log.error("acknowledged frames of the journal are gone", first_lsn=first, last_lsn=last)
    for name in report.empty_segments:
        log.error("a segment of the journal is empty; what was acknowledged of it is gone", segment=name)


def _change_settings(
    directory: Path, config: Config, writer: FrozenHeadWriter, pipeline: Pipeline, lsn: int, replayed: bool
) -> None:
    """Bring frames journaled under other settings into blocks, then note those of ``config``."""
    try:
        if replayed:
            writer.write(FrozenHead(pipeline, lsn))
        write_settings(directory, settings_of(config))
    except OSError as error:
        raise Unavailable(f"{directory}: settings cannot be changed while the disk refuses: {error}", 60) from error


class ReadDirectory(msgspec.Struct):
    """A directory read from outside. missing: blocks in quarantine, and those whose files are not there."""

    pipeline: Pipeline
    blocks: tuple[BlockRow, ...]
    tiers: tuple[TierRow, ...]
    recovery: dict[str, Any]
    missing: tuple[QuarantineRow, ...] = ()
    epochs: tuple[PolicyEpoch, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    expired: dict[str, int] = {}


def read_directory(directory: Path) -> ReadDirectory:
    """Read ``directory`` without a lock; a daemon may be writing it, and trim its journal meanwhile.

    Raises: ConfigInvalid where there is no directory, UnknownFormat, Damaged.
    """
    for attempt in range(READ_ATTEMPTS_MAX):
        catalogue = Catalogue.open(directory, readonly=True)
        try:
            report = RecoveryReport()
            before = catalogue.checkpoint()
            tiers = catalogue.tiers()  # before the blocks: what is written meanwhile is only not made use of
            in_force = under_settings(Config(), read_settings(directory))
            pipeline = replay_directory(directory, catalogue, in_force, report)
            tombstones, expired = read_tombstones(catalogue), read_expired(catalogue)  # before the blocks
            present = present_blocks(directory, catalogue)
            if catalogue.checkpoint() == before:  # else a part of this is older than another
                ladder = tuple(tiers or map(TierRow, DEFAULT_TIERS))
                missing = (*read_quarantine(catalogue), *present.missing)
                facts, epochs = _facts(report, pipeline), read_epochs(catalogue)
                return ReadDirectory(pipeline, present.blocks, ladder, facts, missing, epochs, tombstones, expired)
        except (FileNotFoundError, FileGone):
            if attempt == READ_ATTEMPTS_MAX - 1:
                raise
        finally:
            catalogue.close()
    raise Unavailable(f"{directory}: a daemon sealed it {READ_ATTEMPTS_MAX} times while it was being read")


def replay_directory(
    directory: Path,
    catalogue: Catalogue,
    config: Config,
    report: RecoveryReport,
    writer: FrozenHeadWriter | None = None,
    progress: Progress | None = None,
    *,
    spill: bool = False,
) -> Pipeline:
    """A pipeline in the state that the directory's checkpoint and journal describe.

    writer: seals what grows too large; without one the head grows with the journal. spill: idle series leave memory.
    Raises: Unavailable where
    ``progress`` was asked to give up.
    """
    progress = progress or Progress()
    checkpoint = catalogue.checkpoint()
    restored = restore_index(directory, catalogue, config, spill=spill)
    if writer is not None:
        _log_restored(restored)
        _mend(directory, restored)
        note_lost(catalogue, restored)
    pipeline = Pipeline(config, restored.index, checkpoint.tallies, catalogue.secret)
    pipeline.swept_minute, pipeline.spilling = restored.swept_minute, restored.spilling
    pipeline.lost_labels = tuple(restored.lost)
    pipeline.metadata = {note.name: note for note in catalogue.metadata()}
    _restore_dedup_keys(pipeline, catalogue.dedup_keys(), checkpoint.lsn)
    _restore_deltas(pipeline, catalogue)
    progress.begin(directory / JOURNAL, checkpoint.lsn)
    sealing = SealBehind(pipeline, writer, config) if writer is not None else None
    entries = _admitted_again(read_journal(directory / JOURNAL, checkpoint.lsn, report), report, restored)
    try:
        with frames_ahead(entries, config.ingest.decompressed_bytes_max) as frames:
            for frame in frames:
                _replay_frame(pipeline, frame)
                progress.advance(frame.read_bytes, report.frames)
                if sealing is not None:
                    sealing.look(frame.entry.lsn)
    finally:
        if sealing is not None:
            sealing.close()
    progress.end()
    return pipeline


def _admitted_again(
    entries: Iterable[JournalFrame], report: RecoveryReport, restored: RestoredSeries
) -> Iterator[JournalFrame]:
    """Frames lost to rot may have brought series that the journal's count of new ones does not know of.

    Series whose labels are lost come as new ones.
    """
    for entry in entries:
        admit_all = report.rot_ranges or restored.admit_all
        yield msgspec.structs.replace(entry, new_series=ADMIT_ALL) if admit_all else entry


def _replay_frame(pipeline: Pipeline, frame: ReadFrame) -> None:
    entry = frame.entry
    try:
        if isinstance(frame.body, NissaError):
            raise frame.body
        pipeline.replay(entry.frame, entry.lsn, entry.new_series, frame.body)
    except NissaError as error:  # it was accepted once: only another version or configuration refuses it now
        log.error("a frame of the journal is not taken any more", lsn=entry.lsn, reason=str(error))
        pipeline.refused_frames += 1


def _restore_dedup_keys(pipeline: Pipeline, dedup_keys: DedupKeys, lsn: int) -> None:
    """The packets and requests that were remembered at the checkpoint. Damage costs what it hit."""
    for damage in dedup_keys.damages:
        log.error("packets that come again may be stored once more", damage=damage)
    pipeline.clock = FrameClock(dedup_keys.frame_ms, dedup_keys.last_frame_ms)
    pipeline.remembered.restore(dedup_keys.entries, dedup_keys.frame_ms)
    pipeline.remembered.forget_above(lsn)  # read behind the checkpoint, they may be newer: whoever reads begins anew
    pipeline.sealed_lsn = lsn


def _restore_deltas(pipeline: Pipeline, catalogue: Catalogue) -> None:
    """Totals of differences at the checkpoint. Where they are damaged, each counter begins anew."""
    try:
        found = catalogue.delta_totals()
    except Damaged as damage:
        log.error("counters that are sent as deltas begin anew", damage=str(damage))
        return
    pipeline.deltas.restore(found.series, found.seen_minutes, found.last_ms, found.totals)


def _mend(directory: Path, restored: RestoredSeries) -> None:
    """Write segments of the series table again from their second copies."""
    for segment in restored.hurt:
        try:
            mend_segment(directory, segment.path, segment.seal)
        except OSError as error:  # what could be read once can be read again
            log.error("a segment of the series table could not be written again", path=segment.path, reason=str(error))


def _log_restored(restored: RestoredSeries) -> None:
    for segment in restored.hurt:
        log.error("a segment of the series table was read from its second copy", path=segment.path)
    for lost in restored.lost:
        log.error(f"labels are lost; their series are served as {LOST_NAME}", lost=lost, remedy=REPAIR)


def tail_behind(report: RecoveryReport, checkpoint: Checkpoint) -> JournalTail:
    """The LSN to go on from: behind the journal's end, or behind the checkpoint where the journal is gone."""
    tail = report.tail or JournalTail()
    last_lsn = max(tail.last_lsn, checkpoint.lsn)
    return msgspec.structs.replace(tail, last_lsn=last_lsn, next_lsn=max(tail.next_lsn, last_lsn + 1))


def _facts(report: RecoveryReport, pipeline: Pipeline) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(report, tail=None))
    del facts["tail"]
    facts["refused_frames"] = pipeline.refused_frames
    facts["lost_labels"] = list(pipeline.lost_labels)
    return facts
