"""Esper's Leyline: bus envelopes, event envelopes and telemetry packets. The walk itself is ``_fast/leyline.pyx``."""

from nissa._fast.batch import Batch
from nissa._fast.leyline import decode_leyline
from nissa._fast.series import SeriesIndex
from nissa.model.decoded import Decoded, Window
from nissa.model.frame import Codec, Frame

CODECS = (Codec.LEYLINE_BUS, Codec.LEYLINE_EVENT, Codec.LEYLINE_PACKET)


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Rows of ``body`` (the frame's body without its encoding) into ``batch``; events and metadata beside.

    Raises: Malformed, TooLarge, UnsupportedMedia; then nothing of the frame is kept.
    """
    metadata, events, ignored = decode_leyline(
        body,
        frame.codec,
        index,
        batch,
        delimited=frame.delimited,
        received_ms=frame.received_ms,
        minute=window.minute,
        admit_max=window.admit_max,
        oldest_ms=window.oldest_ms,
        newest_ms=window.newest_ms,
    )
    return Decoded(metadata, events, ignored)
