"""Decodes a frame by the table of codecs, and applies its context.

Labels of the context are added to series where the index resolves them (``_fast/context.pxd``), to events here.
"""

from collections.abc import Callable

from nissa._fast.batch import Batch
from nissa._fast.context import set_context
from nissa._fast.series import SeriesIndex
from nissa.codec import (
    alert_events,
    exposition,
    graphite,
    import_lines,
    influx,
    leyline,
    leyline_json,
    otlp,
    packets,
    remote_write,
)
from nissa.ingest.event_context import with_context
from nissa.model.context import Conflict, decode_context
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import Malformed, UnsupportedMedia
from nissa.model.frame import Codec, Frame

Decode = Callable[[Frame, bytes | memoryview, SeriesIndex, Batch, Window], Decoded]

_DECODERS: dict[Codec, Decode] = {
    codec: module.decode
    for module in (
        remote_write,
        leyline,
        packets,
        influx,
        graphite,
        exposition,
        otlp,
        leyline_json,
        alert_events,
        import_lines,
    )
    for codec in module.CODECS
}


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Decode ``body``, the frame's body without its content encoding, into ``batch``.

    Raises: Malformed, TooLarge; UnsupportedMedia for an unknown codec.
    """
    decoder = _DECODERS.get(frame.codec)
    if decoder is None:
        raise UnsupportedMedia(f"no codec for frames of kind {frame.codec}")
    rules = _rules_of(frame)
    set_context(batch, rules)
    decoded = decoder(frame, body, index, batch, window)
    if rules and decoded.events is not None:
        decoded.events = with_context(decoded.events, rules)
    return decoded


def _rules_of(frame: Frame) -> list[tuple[str, str, Conflict]]:
    try:
        return decode_context(frame.context).rules()
    except ValueError as error:
        raise Malformed(f"the context of the frame: {error}") from error
