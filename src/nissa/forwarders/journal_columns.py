"""Decodes frames of the journal to columns, for all sinks with one index of series.

    journal frame ──► FrameDecoder ──► series, ts_ms, value; metadata          left out: notes of refusals, imports
                                       whole: nothing of it was refused or added, so its body may be sent as it is

Series ids are those of this index, not of the engine's. The index is replaced by an empty one when it has no room for
a series (``series.active_max``): columns name the index that their ids are of. For one thread.
"""

import os
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from nissa._fast.series import SeriesIndex
from nissa.config.redaction import Redaction
from nissa.config.tree import Config
from nissa.ingest.frame_decoder import FrameDecoder
from nissa.journal.segment import JournalFrame
from nissa.model.columns import Metadata, SeriesColumn, TimeColumn, ValueColumn
from nissa.model.errors import NissaError
from nissa.model.frame import Codec, Frame, Source

SECRET_BYTES: Final = 32  # of fingerprints: this index never leaves the process
SERIES_LIMIT: Final = "series_limit"

log = structlog.get_logger()


class FrameColumns(msgspec.Struct, frozen=True):
    """Samples of one frame. series: uint32, ids of ``index``. whole: all of its body, and nothing else."""

    frame: Frame
    index: SeriesIndex
    series: SeriesColumn
    ts_ms: TimeColumn
    value: ValueColumn
    metadata: Sequence[Metadata]
    whole: bool

    def __len__(self) -> int:
        return len(self.series)


class JournalColumns:
    """The decoder of all sinks. undecodable_frames: their number since start; the log has the reasons."""

    def __init__(self, config: Config) -> None:
        """config: settings in force; events are not decoded for sinks here, so none are redacted."""
        self._config = msgspec.structs.replace(config, redaction=Redaction(enabled=False))
        self._secret = os.urandom(SECRET_BYTES)
        self._decoder = FrameDecoder(self._config, self._secret)
        self.undecodable_frames = 0
        self._index = self._new_index()

    def _new_index(self) -> SeriesIndex:
        series = self._config.series
        return SeriesIndex(
            self._secret,
            series.active_max,
            series.labels_per_series_max,
            series.label_name_bytes_max,
            series.label_value_bytes_max,
        )

    def decode(self, entry: JournalFrame) -> FrameColumns | None:
        """Columns of a frame; None where it has no samples to send."""
        frame = entry.frame
        if frame.codec == Codec.TALLY or frame.source == Source.IMPORT:
            return None
        try:
            found = self._decode(frame)
            if found is None:
                self._index = self._new_index()
                found = self._decode(frame) or self._columns(frame, [], refused=True)
        except NissaError as error:  # it was accepted once: only another version or configuration refuses it now
            self.undecodable_frames += 1
            log.error("a frame of the journal cannot be decoded for sinks", lsn=entry.lsn, reason=str(error))
            return None
        return found

    def _decode(self, frame: Frame) -> FrameColumns | None:
        """Columns of a frame; None where the index has no room for its series."""
        admit_max = max(self._config.series.active_max - self._index.active_count, 0)
        decoded = self._decoder.decode(frame, self._index, admit_max)
        refused = self._decoder.batch.refused
        if SERIES_LIMIT in refused:
            return None
        return self._columns(frame, decoded.metadata, refused=bool(refused))

    def _columns(self, frame: Frame, metadata: Sequence[Metadata], *, refused: bool) -> FrameColumns:
        batch = self._decoder.batch
        series, ts_ms, value = batch.columns()
        sent = batch.samples + 2 * batch.histograms  # rows behind these mark where counters began: nobody sent them
        whole = not (refused or frame.context or frame.delimited)
        return FrameColumns(frame, self._index, series[:sent], ts_ms[:sent], value[:sent], metadata, whole)
