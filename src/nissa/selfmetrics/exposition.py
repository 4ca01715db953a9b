"""GET /metrics: chooses one of two text formats, and compression, by the headers of the scraper.

    text/plain; version=0.0.4                                       the default
    application/openmetrics-text; version=1.0.0; charset=utf-8      where its q-value is higher

The highest q-value wins; between equals the more specific range, then the default. If none of them is accepted, the
default is sent anyway, which is more useful than an answer 406.
"""

import gzip
from typing import Final

from prometheus_client import exposition as text_format
from prometheus_client.openmetrics import exposition as openmetrics_format
from prometheus_client.registry import Collector

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_OPENMETRICS_TYPE: Final = "application/openmetrics-text"
_OPENMETRICS_VERSIONS: Final = (None, "1.0.0")
_TEXT_VERSIONS: Final = (None, "0.0.4")
_RANGES: Final = {"*/*": 0, "text/*": 1, "text/plain": 2, "application/*": 1, _OPENMETRICS_TYPE: 2}
_RANGES_MAX: Final = 32  # of one Accept header; what stands behind them is not read
_GZIP_LEVEL: Final = 1


def expose(registry: Collector, accept: str, accept_encoding: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the answer to a scrape.

    registry: the metrics. accept, accept_encoding: headers of the request.
    """
    if choose_format(accept) == OPENMETRICS:
        content_type, body = OPENMETRICS, openmetrics_format.generate_latest(registry)  # type: ignore[no-untyped-call]
    else:
        content_type, body = TEXT, text_format.generate_latest(registry)
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if accepts_gzip(accept_encoding):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
    return headers, body


def choose_format(accept: str) -> str:
    """TEXT or OPENMETRICS, whichever ``accept`` prefers."""
    best_text = best_open = (0.0, -1)
    for name, parameters in _ranges(accept):
        if name not in _RANGES:
            continue
        worth = (_quality(parameters), _RANGES[name])
        version = parameters.get("version")
        if name in ("*/*", "text/*", "text/plain") and version in _TEXT_VERSIONS:
            best_text = max(best_text, worth)
        if name in ("application/*", _OPENMETRICS_TYPE) and version in _OPENMETRICS_VERSIONS:
            best_open = max(best_open, worth)
    return OPENMETRICS if best_open[0] > 0 and best_open > best_text else TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """True where gzip, or everything, is accepted."""
    accepted = {name: _quality(parameters) for name, parameters in _ranges(accept_encoding)}
    return accepted.get("gzip", accepted.get("*", 0.0)) > 0


def _ranges(value: str) -> list[tuple[str, dict[str, str]]]:
    """The comma-separated ranges of an Accept header, each with its parameters; all in lower case."""
    ranges = []
    for part in value.lower().split(",")[:_RANGES_MAX]:
        name, *rest = (word.strip() for word in part.split(";"))
        pairs = (parameter.partition("=") for parameter in rest)
        ranges.append((name, {key.strip(): word.strip().strip('"') for key, _, word in pairs}))
    return ranges


def _quality(parameters: dict[str, str]) -> float:
    """The q-value: 1 where none is said, 0 where it cannot be read."""
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
