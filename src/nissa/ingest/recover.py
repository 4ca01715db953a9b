"""Opening a data directory: lock, catalogue, series table, and the journal replayed behind the checkpoint.

    catalogue ──► secret, checkpoint(lsn, tallies, seen minutes), metadata, packets that are remembered
    series-*.parquet ──► index of series
    journal, frames above lsn ──► pipeline.replay ──► head       the same way new frames go, without the journal
                                       │ grown too large
                                       ▼
                                  sealed on the way

A writer then goes on in a new segment; a reader (``read_directory``) changes nothing and may do so while a daemon
writes.

Where the settings have changed, the journal is replayed under the old ones and sealed, then the new ones are noted,
then the directory is read again. A crash between any two of these steps leaves a directory that opens the same way.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import structlog

from nissa._fast.series import SeriesIndex
from nissa._fast.series_restore import restore_series
from nissa.config.tree import Config
from nissa.ingest.generation import Generation, GenerationWriter, unpack_minutes
from nissa.ingest.head import Head
from nissa.ingest.pipeline import ADMIT_ALL, Pipeline
from nissa.ingest.settings import read_settings, settings_of, under_settings, write_settings
from nissa.model.durability import parse_durability
from nissa.model.errors import NissaError, Unavailable
from nissa.model.ladder import DEFAULT_TIERS, PolicyEpoch
from nissa.store.catalogue import BlockRow, Catalogue, Checkpoint, TierRow
from nissa.store.claims import Claims
from nissa.store.garbage import collect_garbage
from nissa.store.journal import Journal, JournalTail, RecoveryReport, read_journal
from nissa.store.lock import DirectoryLock
from nissa.store.names import JOURNAL
from nissa.store.policies import note_policies, read_epochs
from nissa.store.quarantine import QuarantineRow, read_quarantine
from nissa.store.series_table import read_series
from nissa.ttl import FrameClock

READ_ATTEMPTS_MAX = 8
HEADS_MAX = 2  # so many times storage.seal_samples are replayed before they are sealed: a usual journal holds less

log = structlog.get_logger()


class Opened(msgspec.Struct):
    """A directory opened for writing. recovery: what the journal was found to be, for ``/api/status``."""

    lock: DirectoryLock
    catalogue: Catalogue
    writer: GenerationWriter
    pipeline: Pipeline
    journal: Journal
    recovery: dict[str, Any]
    epochs: tuple[PolicyEpoch, ...] = ()

    def close(self) -> None:
        """Commit what is pending, then give everything back. Raises: JournalFailed, with everything given back."""
        try:
            self.journal.close()
        finally:
            self.catalogue.close()
            self.lock.close()


def open_directory(directory: Path, config: Config, clock: Callable[[], int]) -> Opened:
    """Open ``directory`` for this process alone.

    Raises: DirectoryLocked, UnknownFormat, Damaged, JournalFailed; Unavailable where settings changed and the disk does
    not take what must be written first. The lock is given back then.
    """
    with ExitStack() as undo:
        lock = DirectoryLock(directory)
        undo.callback(lock.close)
        catalogue = Catalogue.open(directory)
        undo.callback(catalogue.close)
        if kept := collect_garbage(directory, catalogue).kept:
            log.error("the catalogue has lost commits; files that it does not name were put aside", files=kept)
        writer = GenerationWriter(directory, catalogue, clock)
        noted, wanted = read_settings(directory), settings_of(config)
        report = RecoveryReport()
        heads_max = HEADS_MAX * config.storage.seal_samples
        pipeline = replay_directory(directory, catalogue, under_settings(config, noted), report, writer, heads_max)
        facts = _facts(report, pipeline)
        tail = _tail_behind(report, catalogue.checkpoint())
        if noted != wanted:
            _change_settings(directory, config, writer, pipeline, tail.next_lsn - 1, bool(noted and report.frames))
            if noted is not None:
                pipeline = replay_directory(directory, catalogue, config, RecoveryReport())
            tail = _tail_behind(report, catalogue.checkpoint())
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
    return Opened(lock, catalogue, writer, pipeline, journal, facts, epochs)


def _change_settings(
    directory: Path, config: Config, writer: GenerationWriter, pipeline: Pipeline, lsn: int, replayed: bool
) -> None:
    """Bring what was journaled under other settings into blocks, then note those of ``config``."""
    try:
        if replayed:
            writer.write(Generation(pipeline, lsn))
        write_settings(directory, settings_of(config))
    except OSError as error:
        raise Unavailable(f"{directory}: settings cannot be changed while the disk refuses: {error}", 60) from error


class ReadDirectory(msgspec.Struct):
    """A directory read from outside."""

    pipeline: Pipeline
    blocks: tuple[BlockRow, ...]
    tiers: tuple[TierRow, ...]
    recovery: dict[str, Any]
    quarantine: tuple[QuarantineRow, ...] = ()
    epochs: tuple[PolicyEpoch, ...] = ()


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
            blocks = tuple(catalogue.blocks())
            if catalogue.checkpoint() == before:  # else a part of this is older than another
                ladder = tuple(tiers or map(TierRow, DEFAULT_TIERS))
                quarantine = tuple(read_quarantine(catalogue))
                facts, epochs = _facts(report, pipeline), read_epochs(catalogue)
                return ReadDirectory(pipeline, blocks, ladder, facts, quarantine, epochs)
        except FileNotFoundError:
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
    writer: GenerationWriter | None = None,
    weight_max: int = 0,
) -> Pipeline:
    """A pipeline in the state that the directory's checkpoint and journal describe.

    writer: seals the head whenever it weighs more than ``weight_max``; without one it grows with the journal.
    """
    checkpoint = catalogue.checkpoint()
    index, swept_minute = _restore_index(directory, catalogue, config, checkpoint)
    pipeline = Pipeline(config, index, checkpoint.tallies, catalogue.secret)
    pipeline.swept_minute = swept_minute
    pipeline.metadata = {note.name: note for note in catalogue.metadata()}
    _restore_remembered(pipeline, catalogue.claims(), checkpoint.lsn)
    full = weight_max
    for frame in read_journal(directory / JOURNAL, checkpoint.lsn, report):
        # Frames lost to rot may have brought series that the journal's count of new ones does not know of.
        series_new = ADMIT_ALL if report.rot_ranges else frame.new_series
        try:
            pipeline.replay(frame.frame, frame.lsn, series_new)
        except NissaError as error:  # it was accepted once: only another version or configuration refuses it now
            log.error("a frame of the journal is not taken any more", lsn=frame.lsn, reason=str(error))
            pipeline.refused_frames += 1
        if writer is not None and pipeline.head.weight > full:
            full = weight_max if _seal_on_the_way(writer, pipeline, frame.lsn) else pipeline.head.weight + weight_max
    return pipeline


def _restore_remembered(pipeline: Pipeline, claims: Claims, lsn: int) -> None:
    """The packets and requests that were remembered at the checkpoint. Damage costs what it hit."""
    for damage in claims.damages:
        log.error("packets that come again may be stored once more", damage=damage)
    pipeline.clock = FrameClock(claims.frame_ms, claims.last_frame_ms)
    pipeline.remembered.restore(claims.entries, claims.frame_ms)
    pipeline.remembered.forget_above(lsn)  # read behind the checkpoint, they may be newer: whoever reads begins anew
    pipeline.sealed_lsn = lsn


def _restore_index(
    directory: Path, catalogue: Catalogue, config: Config, checkpoint: Checkpoint
) -> tuple[SeriesIndex, int]:
    """The series as checkpointed, and the minute when idle ones were last looked for."""
    series = config.series
    index = SeriesIndex(
        catalogue.secret,
        active_max=series.active_max,
        labels_max=series.labels_per_series_max,
        name_bytes_max=series.label_name_bytes_max,
        value_bytes_max=series.label_value_bytes_max,
    )
    for segment in catalogue.series_segments():
        for labels in read_series(directory, segment):
            names, values = labels.names, labels.values
            restore_series(
                index,
                labels.fingerprints,
                labels.starts,
                names.places,
                names.offsets,
                names.text,
                values.places,
                values.offsets,
                values.text,
                0,
            )
    seen_minutes, swept_minute = unpack_minutes(checkpoint.seen_minutes)
    index.restore_seen(seen_minutes)
    return index, swept_minute


def _seal_on_the_way(writer: GenerationWriter, pipeline: Pipeline, lsn: int) -> bool:
    """Seal what was replayed so far; False where the disk refuses: recovery must not, so it goes on in memory."""
    generation = Generation(pipeline, lsn)
    try:
        writer.write(generation)
    except (OSError, Unavailable) as error:
        log.error("a part of the journal could not be sealed while it was replayed", reason=str(error))
        return False
    generation.settle(pipeline.tallies)
    pipeline.head = Head()
    pipeline.metadata_changed = {}
    pipeline.sealed_lsn = lsn
    return True


def _tail_behind(report: RecoveryReport, checkpoint: Checkpoint) -> JournalTail:
    """Where writing goes on: behind the journal's end, and behind the checkpoint where the journal is gone."""
    tail = report.tail or JournalTail()
    last_lsn = max(tail.last_lsn, checkpoint.lsn)
    return msgspec.structs.replace(tail, last_lsn=last_lsn, next_lsn=max(tail.next_lsn, last_lsn + 1))


def _facts(report: RecoveryReport, pipeline: Pipeline) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(report, tail=None))
    del facts["tail"]
    facts["refused_frames"] = pipeline.refused_frames
    return facts
