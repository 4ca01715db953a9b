"""Graphite plaintext: a body of lines to rows of a Batch (``_fast/graphite``).

Paths are stored unchanged with their dots, as in VictoriaMetrics, so different paths are different series. PromQL names
one as ``{"servers.web-1.load"}``.
"""

from nissa._fast.batch import Batch
from nissa._fast.graphite import decode_graphite
from nissa._fast.series import SeriesIndex
from nissa.model.decoded import NOTHING_ELSE, Decoded, Window
from nissa.model.frame import Codec, Frame

CODECS = (Codec.GRAPHITE,)


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Rows of ``body`` (the frame's body without its encoding) into ``batch``, and the lines that were refused.

    Raises: TooLarge; nothing of the frame is stored then.
    """
    lines = decode_graphite(
        body,
        index,
        batch,
        minute=window.minute,
        admit_max=window.admit_max,
        oldest_ms=window.oldest_ms,
        newest_ms=window.newest_ms,
        now_ms=frame.received_ms,
    )
    return Decoded(lines=tuple(lines)) if lines else NOTHING_ELSE
