"""Opening a data directory: lock, catalogue, series table, and the journal replayed behind the checkpoint.

    catalogue ──► secret, checkpoint(lsn, tallies, seen minutes), metadata
    series-*.parquet ──► index of series
    journal, frames above lsn ──► pipeline.replay ──► head            the same way new frames go, without the journal

A writer then goes on in a new segment; a reader (``replay_directory`` with ``readonly``) changes nothing and may do so while a daemon
writes.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog

from nissa._fast.series import SeriesIndex
from nissa.config.tree import Config
from nissa.ingest.pipeline import Pipeline
from nissa.model.durability import parse_durability
from nissa.model.errors import NissaError
from nissa.store.catalogue import Catalogue, Checkpoint, collect_garbage
from nissa.store.journal import Journal, JournalTail, RecoveryReport, read_journal
from nissa.store.lock import DirectoryLock
from nissa.store.names import JOURNAL
from nissa.store.series_table import read_series

log = structlog.get_logger()


class Opened(msgspec.Struct):
    """A directory opened for writing. recovery: what the journal was found to be, for ``/api/status``."""

    lock: DirectoryLock
    catalogue: Catalogue
    pipeline: Pipeline
    journal: Journal
    recovery: dict[str, Any]


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
            pipeline = replay_directory(directory, catalogue, config, report)
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
    return Opened(lock, catalogue, pipeline, journal, {**_facts(report), "refused_frames": pipeline.refused_frames})


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
        read_series(directory, segment, index)
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


def _facts(report: RecoveryReport) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(report, tail=None))
    del facts["tail"]
    return facts
