"""InfluxDB line protocol: a decompressed body to rows of a Batch (``_fast/influx``).

The unit of timestamps is the parameter ``precision`` of the frame's context; nanoseconds where it has none.
"""

from typing import Final

from nissa._fast.batch import Batch
from nissa._fast.influx import decode_influx
from nissa._fast.series import SeriesIndex
from nissa.model.context import decode_context
from nissa.model.decoded import NOTHING_ELSE, Decoded, Window
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Frame

CODECS = (Codec.INFLUX,)
PRECISION: Final = "precision"

# Unit in ns, as InfluxDB 1, 2 and 3 spell it; 0: by the size of each timestamp.
UNITS_NS: Final = {
    **dict.fromkeys(("n", "ns", "nanosecond"), 1),
    **dict.fromkeys(("u", "us", "µ", "µs", "microsecond"), 1_000),
    **dict.fromkeys(("ms", "millisecond"), 1_000_000),
    **dict.fromkeys(("s", "second"), 1_000_000_000),
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "auto": 0,
}


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Rows of ``body`` (the frame's body without its encoding) into ``batch``, and the lines that were refused.

    Raises: TooLarge, or Malformed for an unknown precision; nothing of the frame is stored then.
    """
    precision = decode_context(frame.context).parameters.get(PRECISION, "ns")
    if precision not in UNITS_NS:
        raise Malformed(f"precision {precision!r}: expected one of {', '.join(UNITS_NS)}")
    lines = decode_influx(
        body,
        index,
        batch,
        minute=window.minute,
        admit_max=window.admit_max,
        oldest_ms=window.oldest_ms,
        newest_ms=window.newest_ms,
        now_ms=frame.received_ms,
        unit_ns=UNITS_NS[precision],
    )
    return Decoded(lines=tuple(lines)) if lines else NOTHING_ELSE
