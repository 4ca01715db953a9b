"""The journey of a frame, on the engine thread: decode → admit → journal → without what came before → head.

``Pipeline.take`` is the whole of it, and ``replay`` is the same without the journal: recovery and a reader of a
directory take this way too. What happens to a frame depends on the frame, the configuration and the state before it, on
nothing else; time is the frame's own ``received_ms``.

Packets that came before are known by then, and their rows are left out (``nissa.ttl``). What is remembered of a frame
is remembered once it has its LSN, on a clock made of the frames, so a replay remembers the same.

A frame is never held to a limit in a replay that it did not meet when it was taken (``ADMIT_ALL``), whatever damage to
earlier frames has cost.
"""

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa.codec.decompress import Decompressor, release
from nissa.config.tree import Config
from nissa.ingest.decode import decode
from nissa.ingest.event_filter import DROPPED_LEVEL, event_filter, take_events
from nissa.ingest.head import Head, Span
from nissa.model.columns import EventBatch, Metadata
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import Malformed, TooLarge, UnsupportedMedia
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.refusal import Refusal
from nissa.model.tally import Tallies, Tally
from nissa.model.units import MINUTE_MS
from nissa.ttl import FrameClock, TtlMaps

METADATA_MAX = 100_000  # metric names whose metadata is kept; further ones are not noted
ADMIT_ALL = 2**32 - 1  # in the journal: every series of the frame was admitted, and is again
SET_BACK_MINUTES = 5  # frames of several edges arrive out of order by less
RECEIVED_MS_MAX = 2**47  # the year 6429
Append = Callable[[Frame, int], int]


class Pipeline:
    """State that frames act upon. Belongs to one thread."""

    def __init__(self, config: Config, index: SeriesIndex, tallies: Tallies, secret: bytes) -> None:
        """secret: of the data directory. Raises ConfigInvalid for a rule of redaction that cannot be read."""
        self.config = config
        self.index = index
        self.tallies = tallies
        self.head = Head()
        self.metadata: dict[str, Metadata] = {}
        self.metadata_changed: dict[str, Metadata] = {}
        self.redacted: dict[str, int] = {}  # how many texts each rule changed, since this was made
        self.refused_frames = 0  # of the journal, while it was replayed
        self._batch = Batch(config.ingest.frame_samples_max, config.ingest.frame_series_max)
        self._decompressor = Decompressor(config.ingest.decompressed_bytes_max)
        self._filter_events = event_filter(config, secret)
        self.swept_minute = 0
        self.remembered = TtlMaps(config.ttl)
        self.clock = FrameClock()
        self.sealed_lsn = 0  # what frames up to here brought to be remembered is in the catalogue, or on its way

    def take(self, frame: Frame, append: Append) -> Receipt:
        """Bring a new frame in: decoded, admitted, appended to the journal and to the head.

        append: gives the frame its LSN (``Journal.append``), with it how many new series a replay may admit.
        Raises: Malformed, TooLarge, UnsupportedMedia: nothing is kept, and that is counted.
        """
        source = source_of(frame)
        tally = self._tally(source)
        tally.frames += 1
        self._sweep(frame)  # before the count: series that became idle make room for the series of this frame
        admit_max = max(self.config.series.active_max - self.index.active_count, 0)
        try:
            decoded = self._decode(frame, admit_max)
        except (Malformed, TooLarge, UnsupportedMedia):
            tally.malformed += 1
            append(_note_of(frame, source, {"malformed": 1}), 0)
            self.clock.advance(received_ms_of(frame))
            raise
        batch = self._batch
        refused = batch.refused_rows
        if decoded.dropped:
            refused[DROPPED_LEVEL] = decoded.dropped
        if not _has_effect(batch, decoded, refused):
            self._count(tally, decoded)
            lsn = append(_note_of(frame, source, refused), 0)
            self.clock.advance(received_ms_of(frame))
            return self._receipt(decoded, lsn if refused else 0)
        lsn = append(frame, batch.series_new if _LIMITED in refused else ADMIT_ALL)
        self.clock.advance(received_ms_of(frame))
        return self._receipt(decoded, lsn, self._keep(frame, source, tally, decoded, lsn))

    def replay(self, frame: Frame, lsn: int, series_new: int) -> None:
        """Bring a frame in again that the journal kept, admitting as many new series as ``take`` said."""
        self._sweep(frame)
        self.clock.advance(received_ms_of(frame))
        if frame.codec == Codec.TALLY:
            self._replay_note(frame)
            return
        source = source_of(frame)
        tally = self._tally(source)
        tally.frames += 1
        decoded = self._decode(frame, series_new)
        self._keep(frame, source, tally, decoded, lsn)
        self.head.publish(lsn, self.head.total)

    def give_up(self, kept_lsn: int) -> None:
        """The journal could not keep what is not visible: forget those rows, and count them as refused.

        kept_lsn: the last frame that is kept. What later ones brought to be remembered is forgotten, or their senders
        would be told that what they send again was there.
        """
        for span in self.head.truncate():
            lost_records(self._tally(span.source), span)
        self.remembered.forget_above(kept_lsn)

    def _decode(self, frame: Frame, admit_max: int) -> Decoded:
        now_ms = received_ms_of(frame)
        acceptance = self.config.acceptance
        window = Window(minute_of(frame), admit_max, now_ms - acceptance.past_ms, now_ms + acceptance.future_ms)
        body = self._decompressor.decompress(frame.body, frame.encoding)
        try:
            decoded = decode(frame, body, self.index, self._batch, window)
        finally:
            release(body)
        return decoded if decoded.events is None else self._filtered(decoded, decoded.events)

    def _filtered(self, decoded: Decoded, events: EventBatch) -> Decoded:
        """What is kept of events, the same whenever the frame is taken or replayed under these settings."""
        kept = self._filter_events(events)
        for rule, count in kept.redacted.items():
            self.redacted[rule] = self.redacted.get(rule, 0) + count
        return Decoded(decoded.metadata, kept.events, decoded.ignored, kept.dropped, kept.rows)

    def _sweep(self, frame: Frame) -> None:
        """Once a minute of frame time: series not seen for the idle TTL stop counting against the limit.

        Where the clock was set back the minutes begin anew, or nothing would become idle until it has caught up.
        """
        minute = minute_of(frame)
        if minute > self.swept_minute or minute < self.swept_minute - SET_BACK_MINUTES:
            self.swept_minute = minute
            self.index.sweep(max(minute - self.config.series.idle_ttl_ms // MINUTE_MS, 0))

    def _keep(self, frame: Frame, source: str, tally: Tally, decoded: Decoded, lsn: int) -> int:
        """Into the head with it, but for packets that came before; returns how many records these had."""
        fresh = decoded
        if self._batch.claim_count:
            marks = self.remembered.store_with_ttl(self._batch, lsn, self.clock.now_ms)
            fresh = decoded if marks is None else _without(decoded, marks.view(np.bool_))
        for metadata in decoded.metadata:
            known = self.metadata.get(metadata.name)
            if metadata != known and (known is not None or len(self.metadata) < METADATA_MAX):
                self.metadata[metadata.name] = self.metadata_changed[metadata.name] = metadata
        self._count(tally, fresh)
        duplicates = self._batch.duplicate_rows + fresh.duplicates
        self.head.append(self._batch, source, lsn, fresh.events, frame.received_ms, duplicates)
        return duplicates

    def _count(self, tally: Tally, decoded: Decoded) -> None:
        batch = self._batch
        events = 0 if decoded.events is None else len(decoded.events)
        tally.received += batch.rows_received + events + decoded.dropped + decoded.duplicates
        tally.stored += len(batch) + events
        tally.duplicate += batch.duplicate_rows + decoded.duplicates
        for reason, count in batch.refused_rows.items():
            tally.refuse(reason, count)
        if decoded.dropped:
            tally.refuse(DROPPED_LEVEL, decoded.dropped)

    def _receipt(self, decoded: Decoded, lsn: int, duplicates: int = 0) -> Receipt:
        batch = self._batch
        return Receipt(
            lsn=lsn,
            samples=batch.samples,
            histograms=batch.histograms,
            exemplars=batch.exemplars,
            events=0 if decoded.events is None else len(decoded.events),
            metadata=len(decoded.metadata),
            duplicates=duplicates,
            refused=batch.refused,
        )

    def _tally(self, source: str) -> Tally:
        tally = self.tallies.get(source)
        if tally is None:
            tally = self.tallies[source] = Tally()
        return tally

    def _replay_note(self, frame: Frame) -> None:
        note = msgspec.json.decode(frame.body, type=_Note)
        tally = self._tally(note.source)
        tally.frames += 1
        for reason, count in note.refused.items():
            if reason == "malformed":
                tally.malformed += count
            else:
                tally.received += count
                tally.refuse(reason, count)


class _Note(msgspec.Struct):
    """Body of a TALLY frame: what a source sent that left nothing to keep."""

    source: str
    refused: dict[str, int]


def _note_of(frame: Frame, source: str, refused: dict[str, int]) -> Frame:
    body = msgspec.json.encode(_Note(source, refused))
    return Frame(Codec.TALLY, Encoding.IDENTITY, frame.source, frame.received_ms, body)


def _without(decoded: Decoded, marked: npt.NDArray[np.bool_]) -> Decoded:
    """Without events of packets that came before. marked: of all that were decoded, dropped ones too."""
    events = decoded.events
    repeated = marked if decoded.kept is None else marked[decoded.kept]
    count = int(np.count_nonzero(repeated))
    if events is None or not count:
        return decoded
    left = take_events(events, np.flatnonzero(~repeated)) if count < len(events) else None
    return Decoded(decoded.metadata, left, decoded.ignored, decoded.dropped, duplicates=count)


def _has_effect(batch: Batch, decoded: Decoded, refused: dict[str, int]) -> bool:
    """Whether a replay needs the frame: it left rows, events, metadata or series, if only of samples out of time."""
    kept = len(batch) > 0 or decoded.events is not None or len(decoded.metadata) > 0
    return kept or any(reason in refused for reason in _OUTSIDE)


def received_ms_of(frame: Frame) -> int:
    """When the frame was received, held within what arithmetic bears: a capture may say anything."""
    received_ms = frame.received_ms
    return received_ms if 0 <= received_ms <= RECEIVED_MS_MAX else min(max(received_ms, 0), RECEIVED_MS_MAX)


def minute_of(frame: Frame) -> int:
    """When the frame was received, in minutes since 1970; at least 1."""
    return max(received_ms_of(frame) // MINUTE_MS, 1)


def lost_records(tally: Tally, span: Span) -> None:
    """Count records that were taken and that the journal could not keep."""
    tally.stored -= span.rows + span.events
    tally.duplicate -= span.duplicates
    tally.refuse("unavailable", span.rows + span.events + span.duplicates)


def source_of(frame: Frame) -> str:
    """The key of a frame's tally, such as ``http/remote_write_1``."""
    return _SOURCES[frame.source, frame.codec]


_LIMITED = str(Refusal.SERIES_LIMIT)
_OUTSIDE = (str(Refusal.TOO_OLD), str(Refusal.TOO_NEW))
_SOURCES = {(source, codec): f"{source.name.lower()}/{codec.name.lower()}" for source in Source for codec in Codec}
