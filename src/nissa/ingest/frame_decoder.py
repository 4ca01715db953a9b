"""Decodes frames, and applies the acceptance window, level filter and redaction: for the store and for followers.

    frame ──► decompress ──► codec, context ──► acceptance ──► drop_levels ──► redact
              (codec/)       (decode.py)        (redaction/event_filter.py)

The engine has one decoder, and each follower has its own with its own series index, so the same events are redacted and
the same records refused. A follower additionally sees redelivered packets, and series that the limit of active series
refused.
"""

from nissa._fast.batch import Batch
from nissa._fast.delta_totals import DeltaTotals
from nissa._fast.series import SeriesIndex
from nissa.codec.decompress import Decompressor, release
from nissa.config.tree import Config
from nissa.ingest.decode import decode
from nissa.model.columns import EventBatch
from nissa.model.context import decode_context
from nissa.model.decoded import Decoded, Window
from nissa.model.frame import Frame, Source
from nissa.model.units import MINUTE_MS
from nissa.redaction.event_filter import event_filter

RECEIVED_MS_MAX = 2**47  # the year 6429


class FrameDecoder:
    """A batch, and the decoders that fill it. For one thread.

    redacted: how many texts each rule has changed. deltas: totals of counters that are sent as differences.
    """

    def __init__(self, config: Config, secret: bytes) -> None:
        """secret: of the data directory. Raises ConfigInvalid for a rule of redaction that cannot be read."""
        self.batch = Batch(config.ingest.frame_samples_max, config.ingest.frame_series_max)
        self.redacted: dict[str, int] = {}
        otlp = config.sources.otlp
        self.deltas = DeltaTotals(otlp.delta_series_max, otlp.delta_ttl_ms // MINUTE_MS)
        self._decompressor = Decompressor(config.ingest.decompressed_bytes_max)
        self._filter_events = event_filter(config, secret)
        self._acceptance = config.acceptance
        self._import_past_ms = max(config.acceptance.past_ms, config.acceptance.import_past_ms)

    def decode(
        self, frame: Frame, index: SeriesIndex, admit_max: int, plain: bytes | memoryview | None = None
    ) -> Decoded:
        """Samples of ``frame`` as rows of ``batch``, with series of ``index``; events and metadata beside.

        admit_max: how many new series it may bring. plain: its body, if it is decompressed already.
        Raises: Malformed, TooLarge, UnsupportedMedia; then nothing of the frame is kept.
        """
        now_ms, acceptance = received_ms_of(frame), self._acceptance
        past_ms = self._import_past_ms if frame.source == Source.IMPORT else acceptance.past_ms
        oldest_ms, newest_ms = now_ms - past_ms, now_ms + acceptance.future_ms
        window = Window(minute_of(frame), admit_max, oldest_ms, newest_ms, self.deltas)
        known = frame.plain if plain is None else plain
        body = self._decompressor.decompress(frame.body, frame.encoding) if known is None else known
        try:
            decoded = decode(frame, body, index, self.batch, window)
        finally:
            release(body)
        if decoded.events is None:
            return decoded
        dropped = decode_context(frame.context).dropped if frame.context else ()
        return self._filtered(decoded, decoded.events, now_ms, dropped)

    def _filtered(self, decoded: Decoded, events: EventBatch, received_ms: int, dropped: tuple[str, ...]) -> Decoded:
        """Filters events, with the same result whenever the frame is taken or replayed under these settings."""
        kept = self._filter_events(events, received_ms, dropped)
        for rule, count in kept.redacted.items():
            self.redacted[rule] = self.redacted.get(rule, 0) + count
        return Decoded(
            decoded.metadata,
            kept.events,
            decoded.ignored,
            kept.refused,
            kept.rows,
            examples=kept.examples,
            event_reasons=kept.reasons,
            bus=decoded.bus,
        )


def received_ms_of(frame: Frame) -> int:
    """Receive time of the frame, held within what arithmetic bears: a capture may say anything."""
    received_ms = frame.received_ms
    return received_ms if 0 <= received_ms <= RECEIVED_MS_MAX else min(max(received_ms, 0), RECEIVED_MS_MAX)


def minute_of(frame: Frame) -> int:
    """Receive time of the frame, in minutes since 1970; at least 1."""
    return max(received_ms_of(frame) // MINUTE_MS, 1)
