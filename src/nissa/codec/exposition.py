"""Prometheus' exposition formats: a decompressed body to rows of a Batch (``_fast/exposition``).

Parameters of the frame's context control decoding:

    content_type      as the body came with it: OpenMetrics, or else text 0.0.4
    timestamp         of lines without one, ms; the time of receipt where it is left out
    honor_timestamps  ``false``: timestamps of the body are passed over
    stale             ``true``: every value stands for a staleness marker, as of series that went away
    rules             metric_relabel_configs and limits (``scrape_rules.py``)
"""

from typing import Final

import msgspec

from nissa._fast.batch import Batch
from nissa._fast.exposition import decode_exposition
from nissa._fast.series import SeriesIndex
from nissa.codec.scrape_rules import RULES, exposition_rules
from nissa.model.columns import Metadata
from nissa.model.context import decode_context
from nissa.model.decoded import NOTHING_ELSE, Decoded, Window
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Frame

CODECS = (Codec.EXPOSITION,)
CONTENT_TYPE: Final = "content_type"
TIMESTAMP: Final = "timestamp"
HONOR_TIMESTAMPS: Final = "honor_timestamps"
STALE: Final = "stale"
OPENMETRICS: Final = "application/openmetrics-text"
TIMESTAMP_MAX: Final = 2**62
RELABEL_DROPPED: Final = "relabel_dropped"  # the reason of samples that metric_relabel_configs drop


def decode(frame: Frame, body: bytes | memoryview, index: SeriesIndex, batch: Batch, window: Window) -> Decoded:
    """Rows of ``body`` (the frame's body without its encoding) into ``batch``, and the lines that were refused.

    Raises: TooLarge, also for a limit of the rules; Malformed for OpenMetrics without its last line, and for a
    parameter that cannot be read. Nothing of the frame is stored then.
    """
    parameters = decode_context(frame.context).parameters
    openmetrics = is_openmetrics(parameters.get(CONTENT_TYPE, ""))
    metadata, lines, dropped = decode_exposition(
        body,
        index,
        batch,
        minute=window.minute,
        admit_max=window.admit_max,
        oldest_ms=window.oldest_ms,
        newest_ms=window.newest_ms,
        now_ms=_timestamp(parameters[TIMESTAMP]) if TIMESTAMP in parameters else frame.received_ms,
        openmetrics=openmetrics,
        own_times=parameters.get(HONOR_TIMESTAMPS) != "false",
        stale=parameters.get(STALE) == "true",
        rules=exposition_rules(parameters.get(RULES, "")),
    )
    if not metadata and not lines and not dropped:
        return NOTHING_ELSE
    refused = {RELABEL_DROPPED: dropped} if dropped else {}
    return Decoded([_plain(each, openmetrics) for each in metadata], refused=refused, lines=tuple(lines))


def is_openmetrics(content_type: str) -> bool:
    """True for the content type of OpenMetrics, whatever its parameters."""
    return content_type.partition(";")[0].strip().lower() == OPENMETRICS


def _timestamp(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > TIMESTAMP_MAX:
        raise Malformed(f"timestamp {text[:40]!r} in the context of the frame: expected milliseconds since 1970")
    return int(text)


def _plain(metadata: Metadata, openmetrics: bool) -> Metadata:
    """Metadata with the escapes of a quoted name and of a help text resolved."""
    if "\\" not in metadata.name and "\\" not in metadata.help:
        return metadata
    help_text = _unescaped(metadata.help, quotes=openmetrics)
    return msgspec.structs.replace(metadata, name=_unescaped(metadata.name, quotes=True), help=help_text)


def _unescaped(text: str, *, quotes: bool) -> str:
    plain: list[str] = []
    at = 0
    while True:
        found = text.find("\\", at)
        if found < 0 or found + 1 == len(text):
            return "".join(plain) + text[at:]
        escape = text[found + 1]
        known = escape in '\\n"' if quotes else escape in "\\n"
        plain.append(text[at:found] + (("\n" if escape == "n" else escape) if known else "\\" + escape))
        at = found + 2
