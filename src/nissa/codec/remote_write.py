"""Prometheus remote write 1.0 and 2.0: a decompressed body to rows of a Batch (``_fast/remote_write_1`` and ``_2``)."""

from nissa._fast.batch import Batch
from nissa._fast.remote_write_1 import decode_remote_write_1
from nissa._fast.remote_write_2 import decode_remote_write_2
from nissa._fast.series import SeriesIndex
from nissa.model.decoded import NOTHING_ELSE, Decoded, Window
from nissa.model.frame import Codec, Frame

CODECS = (Codec.REMOTE_WRITE_1, Codec.REMOTE_WRITE_2)


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Rows of ``body`` (the frame's body without its encoding) into ``batch``.

    Raises: Malformed, TooLarge; then nothing of the frame is kept.
    """
    decode_body = decode_remote_write_1 if frame.codec == Codec.REMOTE_WRITE_1 else decode_remote_write_2
    metadata = decode_body(
        body,
        index,
        batch,
        minute=window.minute,
        admit_max=window.admit_max,
        oldest_ms=window.oldest_ms,
        newest_ms=window.newest_ms,
    )
    return Decoded(metadata) if metadata else NOTHING_ELSE
