"""OpenTelemetry's protocol: a decompressed request body to rows of a Batch, or to events.

Metrics are decoded by ``_fast/otlp_metrics``, logs by ``_fast/otlp_logs``. JSON is rewritten as protobuf first.
"""

from typing import Final

from nissa._fast.batch import Batch
from nissa._fast.otlp_logs import decode_otlp_logs
from nissa._fast.otlp_metrics import decode_otlp_metrics
from nissa._fast.series import SeriesIndex
from nissa.codec.otlp_json import protobuf_of
from nissa.model.decoded import NOTHING_ELSE, Decoded, Window
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Frame
from nissa.model.receipt import Example

_PROTOBUF: Final = (Codec.OTLP_METRICS, Codec.OTLP_LOGS)
_LOGS: Final = (Codec.OTLP_LOGS, Codec.OTLP_LOGS_JSON)
CODECS: Final = (*_PROTOBUF, Codec.OTLP_METRICS_JSON, Codec.OTLP_LOGS_JSON)


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Rows of ``body`` (the frame's body without its encoding) into ``batch``; the events of logs beside.

    Raises: Malformed, TooLarge; then nothing of the frame is stored.
    """
    if frame.codec in _PROTOBUF:
        return _decode(frame, body, index, batch, window)
    try:
        decoded = _decode(frame, protobuf_of(body, of_logs=frame.codec in _LOGS), index, batch, window)
    except Malformed as error:
        raise Malformed(error.what) from error  # its offset is one of the protobuf form
    for reason, example in batch.examples.items():
        batch.examples[reason] = Example(example.series, example.ts_ms)
    return decoded


def _decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    if frame.codec in _LOGS:
        return Decoded(*decode_otlp_logs(body, index, batch, received_ms=frame.received_ms))
    metadata = decode_otlp_metrics(
        body,
        index,
        batch,
        minute=window.minute,
        admit_max=window.admit_max,
        oldest_ms=window.oldest_ms,
        newest_ms=window.newest_ms,
        deltas=window.deltas,
    )
    return Decoded(metadata) if metadata else NOTHING_ELSE
