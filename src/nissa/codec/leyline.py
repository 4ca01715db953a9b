"""Esper's Leyline: bus envelopes, event envelopes and telemetry packets. The walk itself is ``_fast/leyline.pyx``.

A body is scanned first (``_fast/bus_survey.pyx``): messages of other supported types are replaced by telemetry packets
(``codec/esper.py``) in a copy of the body before it is decoded. A body of telemetry only is decoded as it is.
"""

from typing import Final

from nissa._fast.batch import Batch
from nissa._fast.bus_survey import survey_leyline
from nissa._fast.leyline import decode_leyline
from nissa._fast.series import SeriesIndex
from nissa.codec.delimited import varint
from nissa.codec.esper import as_telemetry, counted_as
from nissa.model.bus_counts import BusCounts
from nissa.model.columns import EventBatch
from nissa.model.decoded import Decoded, Window
from nissa.model.frame import Codec, Frame

CODECS = (Codec.LEYLINE_BUS, Codec.LEYLINE_EVENT, Codec.LEYLINE_PACKET)

# Messages other than telemetry packets are read one by one in about 50 µs each.
SLOW_MESSAGES_MAX: Final = 20_000
_HAZARD: Final = "bsds_hazard_"


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Rows of ``body`` (the frame's body without its encoding) into ``batch``; events and metadata beside.

    Raises: Malformed, TooLarge, UnsupportedMedia; then nothing of the frame is kept.
    """
    places, packets, reward, iterations = survey_leyline(
        body, frame.codec, delimited=frame.delimited, places_max=SLOW_MESSAGES_MAX
    )
    counts = BusCounts(packets=packets, simic_reward=reward, simic_iterations=iterations)
    metadata, events, ignored = decode_leyline(
        _translated(frame, memoryview(body), places, counts) if places else body,
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
    if events is not None and _HAZARD.encode() in events.description.data:
        _count_hazards(events, counts)
    return Decoded(metadata, events, ignored, bus=counts)


def _translated(frame: Frame, body: memoryview, places: list[tuple[int, int, int, int]], counts: BusCounts) -> bytes:
    """The body with the messages at ``places`` as telemetry packets; each is counted in ``counts``."""
    parts: list[bytes | memoryview] = []
    behind = 0
    for before, start, end, kind in places:
        message = bytes(body[start:end])
        family, label = counted_as(kind, message, frame.codec)
        if family:
            counted = counts.states if family == "system_state" else counts.reports
            counted[label] = counted.get(label, 0) + 1
        read_as = as_telemetry(frame.codec, kind, message)
        length = varint(len(read_as)) if frame.delimited else b""
        parts += [body[behind:before], length, read_as]
        behind = end
    return b"".join([*parts, body[behind:]])


def _count_hazards(events: EventBatch, counts: BusCounts) -> None:
    """Count events of BSDS hazards by their provenance, in lower case."""
    for number in range(len(events)):
        description = events.description.text(number)
        if description not in (f"{_HAZARD}high", f"{_HAZARD}critical"):
            continue
        provenance = events.row(number)["attributes"].get("provenance", "unknown").lower()
        counted = counts.hazards_high if description.endswith("high") else counts.hazards_critical
        counted[provenance] = counted.get(provenance, 0) + 1
