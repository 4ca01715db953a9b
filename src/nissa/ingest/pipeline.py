"""Processes a frame on the engine thread: decode → admit → journal → drop redelivered packets → head.

``Pipeline.take`` does all of it; ``replay`` does the same without the journal, for recovery and for readers of a
directory. The result depends only on the frame, the configuration and the state before; the time is the frame's
``received_ms``.

Rows of packets whose dedup key is known are dropped (``nissa.dedup``). Dedup keys of a frame are recorded when it has
its LSN, on a clock derived from frames, so a replay records the same keys.

A replay does not apply limits that a frame passed when it was accepted (``ADMIT_ALL``), even if earlier frames were
lost to damage.
"""

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa._fast.series_restore import forget_starts
from nissa.config.tree import Config
from nissa.dedup import FrameClock, TtlMaps
from nissa.ingest.event_context import dropping
from nissa.ingest.frame_decoder import FrameDecoder, minute_of, received_ms_of
from nissa.ingest.head import Head, Span
from nissa.ingest.import_boundary import ImportBoundary
from nissa.ingest.outcomes import message_outcomes
from nissa.model.bus_counts import BusCounts
from nissa.model.columns import Metadata
from nissa.model.counters import Counters, Tallies
from nissa.model.decoded import Decoded
from nissa.model.errors import Malformed, TooLarge, UnsupportedMedia
from nissa.model.frame import Codec, Encoding, Frame, Source, source_of
from nissa.model.outcome import MessageOutcomes
from nissa.model.receipt import Receipt
from nissa.model.refusal import Refusal
from nissa.model.units import MINUTE_MS
from nissa.redaction.event_filter import UNBLAMED, take_events
from nissa.series.spilling import Spilling

METADATA_MAX = 100_000  # metric names whose metadata is kept; further ones are not noted
ADMIT_ALL = 2**32 - 1  # in the journal: every series of the frame was admitted, and is again
SET_BACK_MINUTES = 5  # frames of several edges arrive out of order by less
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
        self._decoder = FrameDecoder(config, secret)
        self._batch = self._decoder.batch
        self.deltas = self._decoder.deltas  # totals of counters that are sent as differences
        self.redacted = self._decoder.redacted  # how many texts each rule changed, since this was made
        self.lost_labels: tuple[str, ...] = ()  # of the series table, in words
        self.refused_frames = 0  # of the journal, while it was replayed
        self.swept_minute = 0
        self._imports = ImportBoundary(config)
        self.remembered = TtlMaps(config.ttl)
        self.clock = FrameClock()
        self.bus = BusCounts()  # messages of Esper's bus taken since this was made
        self.spilling: Spilling | None = None  # idle series stay in memory without it
        self.drop_categories: tuple[str, ...] = ()  # of events, while a mode other than normal is in force
        self.sealed_lsn = 0  # what frames up to here brought to be remembered is in the catalogue, or on its way

    def take(self, frame: Frame, append: Append) -> Receipt:
        """Bring a new frame in: decoded, admitted, appended to the journal and to the head.

        append: gives the frame its LSN (``Journal.append``), with it how many new series a replay may admit.
        Raises: Malformed, TooLarge, UnsupportedMedia: nothing is kept, and that is counted.
        """
        if self.drop_categories and frame.source != Source.SELF:
            frame = dropping(frame, self.drop_categories)  # noted in the frame, so that a replay drops the same
        source = source_of(frame)
        counters = self._counters(source)
        counters.frames += 1
        self._sweep(frame)  # before the count: series that became idle make room for the series of this frame
        admit_max = max(self.config.series.active_max - self.index.active_count, 0)
        try:
            self._check_context(frame)
            decoded = self._decoder.decode(frame, self.index, admit_max)
        except (Malformed, TooLarge, UnsupportedMedia):
            counters.malformed += 1
            append(_note_of(frame, source, {"malformed": 1}), 0)
            self.clock.advance(received_ms_of(frame))
            raise
        if decoded.bus is not None:
            self.bus.add(decoded.bus)
        batch = self._batch
        outcomes = message_outcomes(batch, decoded) if frame.delimited else None
        refused_rows = batch.refused_rows
        refused = _added(refused_rows, decoded.refused)
        if not _has_effect(batch, decoded, refused_rows):
            self._count(counters, decoded)
            lsn = append(_note_of(frame, source, refused), 0)
            self.clock.advance(received_ms_of(frame))
            return self._receipt(decoded, lsn if refused else 0, outcomes)
        lsn = self._append(frame, batch.series_new if _LIMITED in refused_rows else ADMIT_ALL, append)
        self.clock.advance(received_ms_of(frame))
        return self._receipt(decoded, lsn, outcomes, self._keep(frame, source, counters, decoded, lsn))

    def replay(self, frame: Frame, lsn: int, series_new: int, body: bytes | memoryview | None = None) -> None:
        """Bring a frame in again that the journal kept, admitting as many new series as ``take`` said.

        body: the frame's, if it is decompressed already.
        """
        self._sweep(frame)
        self.clock.advance(received_ms_of(frame))
        if frame.codec == Codec.TALLY:
            self._replay_note(frame)
            return
        source = source_of(frame)
        counters = self._counters(source)
        counters.frames += 1
        decoded = self._decoder.decode(frame, self.index, series_new, body)
        self._keep(frame, source, counters, decoded, lsn)
        self.head.publish(lsn, self.head.total)

    def give_up(self, kept_lsn: int) -> None:
        """The journal lost rows that are not visible: forget them, and count them as refused.

        kept_lsn: the last frame that is kept. Dedup keys of later frames are forgotten, or a repetition of these
        frames would be taken for duplicates.
        """
        for span in self.head.truncate():
            lost_records(self._counters(span.source), span)
        self.remembered.forget_above(kept_lsn)
        self.deltas.forget()
        forget_starts(self.index)

    def _append(self, frame: Frame, series_new: int, append: Append) -> int:
        """The frame into the journal. Where that fails, its differences are in no total: all of them begin anew."""
        try:
            return append(frame, series_new)
        except BaseException:  # raised again
            self.deltas.forget()
            raise

    def _check_context(self, frame: Frame) -> None:
        """Raises: TooLarge. A replay does not ask again."""
        limit = self.config.ingest.frame_context_bytes_max
        if len(frame.context) > limit:
            got = len(frame.context)
            raise TooLarge("context of a frame", got=got, limit=limit, setting="ingest.frame_context_size_max")

    def _sweep(self, frame: Frame) -> None:
        """Once a minute of frame time: series not seen for the idle TTL stop counting against the limit.

        Where the clock was set back the minutes begin anew, or nothing would become idle until it has caught up.
        """
        minute = minute_of(frame)
        if minute > self.swept_minute or minute < self.swept_minute - SET_BACK_MINUTES:
            self.swept_minute = minute
            self.index.sweep(max(minute - self.config.series.idle_ttl_ms // MINUTE_MS, 0))
            if self.spilling is not None:
                self.spilling.step()

    def _keep(self, frame: Frame, source: str, counters: Counters, decoded: Decoded, lsn: int) -> int:
        """Into the head with it, but for packets that came before; returns how many records these had."""
        fresh = decoded
        if self._batch.claim_count:
            marks = self.remembered.store_with_ttl(self._batch, lsn, self.clock.now_ms)
            fresh = decoded if marks is None else _without(decoded, marks.view(np.bool_))
        for metadata in decoded.metadata:
            known = self.metadata.get(metadata.name)
            if metadata != known and (known is not None or len(self.metadata) < METADATA_MAX):
                self.metadata[metadata.name] = self.metadata_changed[metadata.name] = metadata
        self._count(counters, fresh)
        duplicates = self._batch.duplicate_rows + fresh.duplicates
        if frame.source == Source.IMPORT:
            rows, imports = self._imports.split(self._batch, received_ms_of(frame))
            self.head.append_import(rows, imports, source, lsn, frame.received_ms, duplicates)
            return duplicates
        self.head.append(self._batch, source, lsn, fresh.events, frame.received_ms, duplicates)
        return duplicates

    def _count(self, counters: Counters, decoded: Decoded) -> None:
        batch = self._batch
        events = 0 if decoded.events is None else len(decoded.events)
        counters.received += batch.rows_received + events + sum(decoded.refused.values()) + decoded.duplicates
        counters.stored += len(batch) + events
        counters.duplicate += batch.duplicate_rows + decoded.duplicates
        for reason, count in _added(batch.refused_rows, decoded.refused).items():
            counters.refuse(reason, count)

    def _receipt(self, decoded: Decoded, lsn: int, outcomes: MessageOutcomes | None, duplicates: int = 0) -> Receipt:
        batch = self._batch
        return Receipt(
            lsn=lsn,
            samples=batch.samples,
            histograms=batch.histograms,
            exemplars=batch.exemplars,
            events=0 if decoded.events is None else len(decoded.events),
            metadata=len(decoded.metadata),
            duplicates=duplicates,
            # These are dropped as the operator wishes: the sender did nothing wrong.
            refused=_added(batch.refused, {key: n for key, n in decoded.refused.items() if key not in UNBLAMED}),
            examples={**batch.examples, **decoded.examples},
            messages=outcomes,
            lines=decoded.lines,
            series_new=batch.series_new,
        )

    def _counters(self, source: str) -> Counters:
        counters = self.tallies.get(source)
        if counters is None:
            counters = self.tallies[source] = Counters()
        return counters

    def _replay_note(self, frame: Frame) -> None:
        note = msgspec.json.decode(frame.body, type=_Note)
        counters = self._counters(note.source)
        counters.frames += 1
        for reason, count in note.refused.items():
            if reason == "malformed":
                counters.malformed += count
            else:
                counters.received += count
                counters.refuse(reason, count)


class _Note(msgspec.Struct):
    """Body of a TALLY frame: counts of a frame that left nothing to keep."""

    source: str
    refused: dict[str, int]


def _note_of(frame: Frame, source: str, refused: dict[str, int]) -> Frame:
    body = msgspec.json.encode(_Note(source, refused))
    return Frame(Codec.TALLY, Encoding.IDENTITY, frame.source, frame.received_ms, body)


def _without(decoded: Decoded, marked: npt.NDArray[np.bool_]) -> Decoded:
    """Take out events of packets that came before. marked: by event decoded, dropped ones included."""
    events = decoded.events
    repeated = marked if decoded.kept is None else marked[decoded.kept]
    count = int(np.count_nonzero(repeated))
    if events is None or not count:
        return decoded
    left = take_events(events, np.flatnonzero(~repeated)) if count < len(events) else None
    return Decoded(decoded.metadata, left, decoded.ignored, decoded.refused, duplicates=count)


def _added(some: dict[str, int], others: dict[str, int]) -> dict[str, int]:
    """Counts by reason, added up."""
    return {reason: some.get(reason, 0) + others.get(reason, 0) for reason in some | others} if others else some


def _has_effect(batch: Batch, decoded: Decoded, refused: dict[str, int]) -> bool:
    """True if a replay needs the frame: it left rows, events, metadata or series, if only of samples out of time.

    refused: rows of samples by reason.
    """
    kept = len(batch) > 0 or decoded.events is not None or len(decoded.metadata) > 0
    return kept or any(reason in refused for reason in _OUTSIDE)


def lost_records(counters: Counters, span: Span) -> None:
    """Count records that were taken and that the journal could not keep."""
    counters.stored -= span.records
    counters.duplicate -= span.duplicates
    counters.refuse("unavailable", span.records + span.duplicates)


_LIMITED = str(Refusal.SERIES_LIMIT)
_OUTSIDE = (str(Refusal.TOO_OLD), str(Refusal.TOO_NEW))
