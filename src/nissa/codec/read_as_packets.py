"""Reads rare messages of a bus by converting each to a telemetry packet, which the decoder of packets then reads.

    message ──packet_of──► esper.leyline.v1.TelemetryPacket ──► ``_fast/leyline.pyx``

So names, limits, outcomes and deduplication are those of packets. This is the slow path, about 50 µs per message.
"""

from collections.abc import Callable
from typing import Any, Final

from nissa._fast.batch import Batch
from nissa._fast.leyline import decode_leyline
from nissa._fast.series import SeriesIndex
from nissa.codec.delimited import joined, split
from nissa.model.decoded import Decoded, Window
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Codec, Frame

MESSAGES_MAX: Final = 20_000
_UNREADABLE: Final = b"\x00"  # field number 0: no decoder takes it, so the message is refused alone

PacketOf = Callable[[bytes], Any]  # message -> TelemetryPacket; raises ValueError


def decode_as_packets(
    frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window, packet_of: PacketOf
) -> Decoded:
    """Decode messages that are converted to telemetry packets first.

    frame: its received_ms is the time of packets without one. body: decompressed. index, batch: where series and rows
    are added. window: accepted timestamps. packet_of: returns the packet for one message, or raises ValueError. Raises:
    TooLarge; Malformed if the only message cannot be read.
    """
    if frame.delimited:
        messages: list[bytes] = []
        for _, message in split(memoryview(body)):
            if len(messages) == MESSAGES_MAX:
                setting = "fixed: send fewer such messages in one frame"
                raise TooLarge("messages in one frame", got=MESSAGES_MAX + 1, limit=MESSAGES_MAX, setting=setting)
            messages.append(_encoded(bytes(message), packet_of))
        packets = joined(messages)
    else:
        try:
            packets = packet_of(bytes(body)).SerializeToString(deterministic=True)
        except ValueError as error:
            raise Malformed(str(error), 0) from error
    metadata, events, ignored = decode_leyline(
        packets,
        Codec.LEYLINE_PACKET,
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


def _encoded(message: bytes, packet_of: PacketOf) -> bytes:
    try:
        return bytes(packet_of(message).SerializeToString(deterministic=True))
    except ValueError:
        return _UNREADABLE
