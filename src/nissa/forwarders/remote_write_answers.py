"""Meanings of answers to requests of remote write, by the published rules.

2xx                              delivered; for 2.0 only with a header that says what was written
415, or 2.0 without that header  the sink does not take 2.0: send 1.0
5xx, 429                         again, after Retry-After
3xx, 401, 403, 404, 405, 407     wrong address or credentials: nothing is given up, tries are rare
413, other 4xx                   the data: halve it, and set aside what is refused alone
"""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

from nissa.forwarders.sink_client import SinkAnswer
from nissa.model.units import DAY_MS, SECOND_MS

WRITTEN: Final = "x-prometheus-remote-write-samples-written"
BLOCKING: Final = frozenset((401, 403, 404, 405, 407))


class Verdict(Enum):
    """Consequence of an answer."""

    DELIVERED = "delivered"
    FALL_BACK = "fall back"
    RETRY = "retry"
    BLOCKED = "blocked"
    REFUSED = "refused"


def judge(answer: SinkAnswer, version: str) -> Verdict:
    """The meaning of an answer to a request of this version."""
    status = answer.status
    if 200 <= status < 300:
        return Verdict.FALL_BACK if version == "2.0" and WRITTEN not in answer.headers else Verdict.DELIVERED
    if status == 415 and version == "2.0":
        return Verdict.FALL_BACK
    if status == 429 or status >= 500 or status < 200:
        return Verdict.RETRY
    if status < 400 or status in BLOCKING:
        return Verdict.BLOCKED
    return Verdict.REFUSED


def retry_after_ms(headers: Mapping[str, str], now_ms: int) -> int:
    """Pause that ``Retry-After`` asks for; 0 where it asks for none or cannot be read. now_ms: the wall clock."""
    text = headers.get("retry-after", "").strip()[:64]
    if not text:
        return 0
    try:
        seconds = float(text)
    except ValueError:
        return _until(text, now_ms)
    if math.isnan(seconds):
        return 0
    return int(min(max(seconds * SECOND_MS, 0), DAY_MS))


def _until(text: str, now_ms: int) -> int:
    try:
        at_ms = int(parsedate_to_datetime(text).timestamp() * SECOND_MS)
    except (ValueError, OverflowError, TypeError):
        return 0
    return min(max(at_ms - now_ms, 0), DAY_MS)
