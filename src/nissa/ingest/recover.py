"""Opening a data directory: lock, catalogue, series table, and the journal replayed behind the checkpoint.

    catalogue ──► secret, checkpoint(lsn, tallies, seen minutes), metadata
    series-*.parquet ──► index of series
    journal, frames above lsn ──► pipeline.replay ──► head            the same way new frames go, without the journal

A writer then goes on in a new segment; a reader (``replay_directory`` with ``readonly``) changes nothing and may do so while a daemon
writes.
"""

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog

from nissa._fast.series import SeriesIndex
from nissa.config.tree import Acceptance, Config, Series
from nissa.ingest.pipeline import Pipeline
from nissa.model.durability import parse_durability
from nissa.model.errors import Damaged, NissaError, Unavailable
from nissa.store.catalogue import BlockRow, Catalogue, Checkpoint, collect_garbage
from nissa.store.checked_file import sync_directory
from nissa.store.journal import Journal, JournalTail, RecoveryReport, read_journal
from nissa.store.lock import DirectoryLock
from nissa.store.names import JOURNAL
from nissa.store.series_table import read_series

READ_ATTEMPTS_MAX = 8
SETTINGS = "settings.json"

log = structlog.get_logger()


class Opened(msgspec.Struct):
    """A directory opened for writing. recovery: what the journal was found to be, for ``/api/status``."""

    lock: DirectoryLock
    catalogue: Catalogue
    pipeline: Pipeline
    journal: Journal
    recovery: dict[str, Any]
    settings_changed: bool


def open_directory(directory: Path, config: Config, clock: Callable[[], int]) -> Opened:
    """Open ``directory`` for this process alone.

    Raises: DirectoryLocked, UnknownFormat, Damaged, JournalFailed; the lock is given back then.
    """
    lock = DirectoryLock(directory)
    try:
        catalogue = Catalogue.open(directory)
        try:
            collect_garbage(directory, catalogue)
            report = RecoveryReport()
            in_force = settings_in_force(directory, config)
            pipeline = replay_directory(directory, catalogue, in_force, report)
            storage = config.storage
            journal = Journal(
                directory / JOURNAL,
                durability=parse_durability(storage.durability),
                segment_bytes=storage.segment_bytes,
                clock=clock,
                tail=_tail_behind(report, catalogue.checkpoint()),
            )
        except BaseException:
            catalogue.close()
            raise
    except BaseException:
        lock.close()
        raise
    facts = {**_facts(report), "refused_frames": pipeline.refused_frames}
    return Opened(lock, catalogue, pipeline, journal, facts, not (directory / SETTINGS).exists() or settings_of(in_force) != settings_of(config))


class ReadDirectory(msgspec.Struct):
    """A directory read from outside."""

    pipeline: Pipeline
    blocks: tuple[BlockRow, ...]
    recovery: dict[str, Any]


def read_directory(directory: Path) -> ReadDirectory:
    """Read ``directory`` without a lock; a daemon may be writing it, and trim its journal meanwhile.

    Raises: ConfigInvalid where there is no directory, UnknownFormat, Damaged.
    """
    for attempt in range(READ_ATTEMPTS_MAX):
        catalogue = Catalogue.open(directory, readonly=True)
        try:
            report = RecoveryReport()
            before = catalogue.checkpoint().lsn
            pipeline = replay_directory(directory, catalogue, settings_in_force(directory, Config()), report)
            if catalogue.checkpoint().lsn == before:
                return ReadDirectory(pipeline, tuple(catalogue.blocks()), _facts(report))
        except FileNotFoundError:
            if attempt == READ_ATTEMPTS_MAX - 1:
                raise
        finally:
            catalogue.close()
    raise Unavailable(f"{directory}: a daemon sealed it {READ_ATTEMPTS_MAX} times while it was being read")


def replay_directory(directory: Path, catalogue: Catalogue, config: Config, report: RecoveryReport) -> Pipeline:
    """A pipeline in the state that the directory's checkpoint and journal describe."""
    checkpoint = catalogue.checkpoint()
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
            index.restore(
                labels.fingerprints,
                labels.starts,
                labels.name_offsets,
                labels.names,
                labels.value_offsets,
                labels.values,
                0,
            )
    index.restore_seen(unpack_minutes(checkpoint.seen_minutes))
    pipeline = Pipeline(config, index, checkpoint.tallies)
    pipeline.metadata = {note.name: note for note in catalogue.metadata()}
    expected = checkpoint.lsn + 1
    for frame in read_journal(directory / JOURNAL, checkpoint.lsn, report):
        # Frames lost to damage may have brought series that the journal's count of new ones does not know of.
        intact = frame.lsn == expected or expected == 1
        try:
            pipeline.replay(frame.frame, frame.lsn, frame.new_series if intact and not report.rot_ranges else series.active_max)
        except NissaError as error:  # it was accepted once: only another version or configuration refuses it now
            log.error("a frame of the journal is not taken any more", lsn=frame.lsn, reason=str(error))
            pipeline.refused_frames += 1
        expected = frame.lsn + 1
    return pipeline


def _tail_behind(report: RecoveryReport, checkpoint: Checkpoint) -> JournalTail:
    """Where writing goes on: behind the journal's end, and behind the checkpoint where the journal is gone."""
    tail = report.tail or JournalTail()
    last_lsn = max(tail.last_lsn, checkpoint.lsn)
    return msgspec.structs.replace(tail, last_lsn=last_lsn, next_lsn=max(tail.next_lsn, last_lsn + 1))


def pack_minutes(minutes: np.ndarray) -> bytes:
    """Last-seen minutes of all series, small: they hardly differ."""
    return zlib.compress(np.diff(minutes, prepend=np.uint32(0)).tobytes(), 1)


def unpack_minutes(packed: bytes) -> np.ndarray:
    """The inverse of ``pack_minutes``; none for no bytes."""
    if not packed:
        return np.empty(0, np.uint32)
    return np.cumsum(np.frombuffer(zlib.decompress(packed), np.uint32), dtype=np.uint32)


class Settings(msgspec.Struct, frozen=True):
    """What of the configuration decides which records of a frame are kept. A replay must use what was in force then."""

    series: Series
    acceptance: Acceptance
    frame_samples_max: int
    frame_series_max: int
    decompressed_bytes_max: int


def settings_of(config: Config) -> Settings:
    """The part of ``config`` that replays depend on."""
    ingest = config.ingest
    return Settings(
        config.series,
        config.acceptance,
        ingest.frame_samples_max,
        ingest.frame_series_max,
        ingest.decompressed_bytes_max,
    )


def settings_in_force(directory: Path, config: Config) -> Config:
    """``config`` with the settings under which the journal in ``directory`` was written, where it says."""
    try:
        settings = msgspec.json.decode((directory / SETTINGS).read_bytes(), type=Settings)
    except FileNotFoundError:
        return config
    except msgspec.MsgspecError as error:
        raise Damaged(str(directory / SETTINGS), str(error)) from error
    ingest = msgspec.structs.replace(
        config.ingest,
        frame_samples_max=settings.frame_samples_max,
        frame_series_max=settings.frame_series_max,
        decompressed_bytes_max=settings.decompressed_bytes_max,
    )
    return msgspec.structs.replace(config, ingest=ingest, series=settings.series, acceptance=settings.acceptance)


def write_settings(directory: Path, config: Config) -> None:
    """Note ``config`` as in force from here on. Nothing of the journal may be waiting to be replayed under another."""
    path = directory / SETTINGS
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(settings_of(config)))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_directory(directory)


def _facts(report: RecoveryReport) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(report, tail=None))
    del facts["tail"]
    return facts
