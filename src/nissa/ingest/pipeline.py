"""The journey of a frame, on the engine thread: decode → admit → journal → head.

``Pipeline.take`` is the whole of it, and ``replay`` is the same without the journal: recovery, a reader of a directory and a capture
replay take this way too. What happens to a frame depends on the frame, the configuration and the state before it, on nothing else;
time is the frame's own ``received_ms``.
"""

from collections.abc import Callable

import msgspec

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa.codec.decompress import Decompressor
from nissa.config.tree import Config
from nissa.ingest.decode import decode
from nissa.ingest.head import Head
from nissa.model.columns import Metadata
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import Malformed, NissaError, TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.receipt import Receipt
from nissa.model.tally import Tallies, Tally
from nissa.model.units import MINUTE_MS

METADATA_MAX = 100_000  # metric names whose metadata is kept; further ones are not noted
Append = Callable[[Frame, int], int]


class Pipeline:
    """State that frames act upon. Belongs to one thread."""

    def __init__(self, config: Config, index: SeriesIndex, tallies: Tallies) -> None:
        self.config = config
        self.index = index
        self.tallies = tallies
        self.head = Head()
        self.metadata: dict[str, Metadata] = {}
        self.metadata_changed: dict[str, Metadata] = {}
        self._batch = Batch(config.ingest.frame_samples_max, config.ingest.frame_series_max)
        self._decompressor = Decompressor(config.ingest.decompressed_bytes_max)
        self._swept_minute = 0

    def take(self, frame: Frame, append: Append) -> Receipt:
        """Bring a new frame in: decoded, admitted, appended to the journal and to the head.

        append: gives the frame its LSN (``Journal.append``).
        Raises: Malformed, TooLarge: nothing is kept, and that is counted.
        """
        source = source_of(frame)
        tally = self._tally(source)
        tally.frames += 1
        active_max = max(self.config.series.active_max - self.index.active_count, 0)
        try:
            decoded = self._decode(frame, active_max)
        except (Malformed, TooLarge):
            tally.malformed += 1
            append(_note_of(frame, source, {"malformed": 1}), 0)
            raise
        batch = self._batch
        if not len(batch) and decoded.events is None and not decoded.metadata:
            self._count(tally, decoded)
            lsn = append(_note_of(frame, source, batch.refused_rows), 0) if batch.refused_rows else 0
            return self._receipt(decoded, lsn)
        lsn = append(frame, batch.series_new)
        self._keep(frame, source, tally, decoded, lsn)
        return self._receipt(decoded, lsn)

    def replay(self, frame: Frame, lsn: int, series_new: int) -> None:
        """Bring a frame in again that the journal kept, admitting as many new series as it was allowed then."""
        if frame.codec == Codec.TALLY:
            self._replay_note(frame)
            return
        source = source_of(frame)
        tally = self._tally(source)
        tally.frames += 1
        decoded = self._decode(frame, series_new)
        self._keep(frame, source, tally, decoded, lsn)
        self.head.publish(lsn, self.head.total)

    def give_up(self) -> None:
        """The journal could not keep what is not visible: forget those rows, and count them as refused."""
        for span, rows in self.head.truncate():
            tally = self._tally(span.source)
            tally.stored -= rows + span.events
            tally.refuse("unavailable", rows + span.events)

    def _decode(self, frame: Frame, admit_max: int) -> Decoded:
        now_ms = frame.received_ms
        minute = max(now_ms // MINUTE_MS, 1)
        self._sweep(minute)
        acceptance = self.config.acceptance
        window = Window(minute, admit_max, now_ms - acceptance.past_ms, now_ms + acceptance.future_ms)
        body = self._decompressor.decompress(frame.body, frame.encoding)
        return decode(frame, body, self.index, self._batch, window)

    def _sweep(self, minute: int) -> None:
        """Once a minute of frame time: series not seen for the idle TTL stop counting against the limit."""
        if minute > self._swept_minute:
            self._swept_minute = minute
            self.index.sweep(max(minute - self.config.series.idle_ttl_ms // MINUTE_MS, 0))

    def _keep(self, frame: Frame, source: str, tally: Tally, decoded: Decoded, lsn: int) -> None:
        for metadata in decoded.metadata:
            known = self.metadata.get(metadata.name)
            if metadata != known and (known is not None or len(self.metadata) < METADATA_MAX):
                self.metadata[metadata.name] = self.metadata_changed[metadata.name] = metadata
        self._count(tally, decoded)
        self.head.append(self._batch, source, lsn, decoded.events, frame.received_ms)

    def _count(self, tally: Tally, decoded: Decoded) -> None:
        batch = self._batch
        events = 0 if decoded.events is None else len(decoded.events)
        tally.received += batch.rows_received + events
        tally.stored += len(batch) + events
        for reason, count in batch.refused_rows.items():
            tally.refuse(reason, count)

    def _receipt(self, decoded: Decoded, lsn: int) -> Receipt:
        batch = self._batch
        return Receipt(
            lsn=lsn,
            samples=batch.samples,
            histograms=batch.histograms,
            exemplars=batch.exemplars,
            events=0 if decoded.events is None else len(decoded.events),
            metadata=len(decoded.metadata),
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


def source_of(frame: Frame) -> str:
    """The key of a frame's tally, such as ``http/remote_write_1``."""
    return _SOURCES[frame.source, frame.codec]


_SOURCES = {(source, codec): f"{source.name.lower()}/{codec.name.lower()}" for source in Source for codec in Codec}


def outcome_of(take: Callable[[], Receipt]) -> Receipt | NissaError:
    """The receipt of ``take``, or the error it raised on purpose."""
    try:
        return take()
    except NissaError as error:
        return error
