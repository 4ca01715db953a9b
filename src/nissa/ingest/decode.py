"""Which codec reads a frame: the one table from a frame's number to the function that decodes it."""

from collections.abc import Callable

from nissa._fast.batch import Batch
from nissa._fast.series import SeriesIndex
from nissa.codec import leyline, packets, remote_write
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import UnsupportedMedia
from nissa.model.frame import Codec, Frame

Decode = Callable[[Frame, bytes | memoryview, SeriesIndex, Batch, Window], Decoded]

_DECODERS: dict[Codec, Decode] = {
    codec: module.decode for module in (remote_write, leyline, packets) for codec in module.CODECS
}


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Decode ``body``, the frame's body without its content encoding, into ``batch``.

    Raises: Malformed, TooLarge; UnsupportedMedia for a codec nobody reads.
    """
    decoder = _DECODERS.get(frame.codec)
    if decoder is None:
        raise UnsupportedMedia(f"no codec for frames of kind {frame.codec}")
    return decoder(frame, body, index, batch, window)
