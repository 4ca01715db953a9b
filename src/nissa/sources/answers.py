"""Response bytes: what an outcome says to the sender.

========================  ======  ==============================================================================
outcome                   status  body
========================  ======  ==============================================================================
Receipt, nothing refused  204     none
Receipt, some refused     400     remote write: what was kept, counts per reason, and the setting that moves each
Receipt, some refused     200     telemetry: the same counts as JSON; 400 where nothing at all was kept
Malformed                 400     what, and at which byte
TooLarge                  413     got, limit, setting
UnsupportedMedia          415     got, expected
Unavailable               503     why, with Retry-After
anything else             500     what broke: ours to answer for, so remote write retries it
========================  ======  ==============================================================================

Every answer to an ingest path names the durability in force, and every one to remote write what was written, failures
included (a 2.0 sender takes an absent count for a receiver that does not know 2.0).
There is no Date: bytes made once are sent many times.
"""

from http import HTTPStatus
from typing import Final

import msgspec
import orjson

from nissa.model.errors import Malformed, NissaError, TooLarge, Unavailable, UnsupportedMedia
from nissa.model.intake import Outcome
from nissa.model.receipt import Receipt
from nissa.model.refusal import Refusal
from nissa.sources.routes import WRITE, Route

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

# Receipts of whole batches repeat; senders use few batch sizes.
_CACHED_RECEIPTS_MAX: Final = 1_024

_SETTING: Final = {
    str(Refusal.LABELS_TOO_MANY): "series.labels_per_series_max",
    str(Refusal.LABEL_TOO_LONG): "series.label_name_bytes_max, series.label_value_bytes_max",
    str(Refusal.SERIES_LIMIT): "series.active_max",
    str(Refusal.TOO_OLD): "acceptance.past_ms",
    str(Refusal.TOO_NEW): "acceptance.future_ms",
}

_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One response in two forms: ``keep`` leaves the connection open, ``close`` says it ends."""

    status: int
    keep: bytes
    close: bytes


def build(status: int, headers: dict[str, str], body: bytes, *, body_sent: bool = True) -> Answer:
    """The bytes of a response. body_sent False (HEAD): the headers of ``body`` without it."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n"
    tail = b"\r\n" + (body if body_sent else b"")
    return Answer(status, head + tail, head + b"Connection: close\r\n" + tail)


class Answers:
    """Answers of one durability mode."""

    def __init__(self, durability: str) -> None:
        self.durability = durability
        self._ingest = {"X-Nissa-Durability": durability}
        self._receipts: dict[tuple[int, int, int, bool], Answer] = {}

    def outcome(self, outcome: Outcome, route: Route) -> Answer:
        """What ``outcome`` says to a sender on ``route``."""
        if isinstance(outcome, Receipt):
            return self._refused(outcome, route) if outcome.refused else self._kept(outcome, route is WRITE)
        return self.error(outcome, route)

    def error(self, error: NissaError, route: Route) -> Answer:
        """What an error says: nothing was kept."""
        headers = self.written(0, 0, 0) if route is WRITE else {}
        if isinstance(error, Unavailable):
            headers["Retry-After"] = str(error.retry_after_s)
        return self.text(_status(error), str(error), headers)

    def text(self, status: int, text: str, headers: dict[str, str] | None = None, *, body_sent: bool = True) -> Answer:
        """An answer in words."""
        every = {**self._ingest, "Content-Type": _TEXT, **(headers or {})}
        return build(status, every, text.encode() + b"\n", body_sent=body_sent)

    def _kept(self, receipt: Receipt, is_write: bool) -> Answer:
        key = (receipt.samples, receipt.histograms, receipt.exemplars, is_write)
        answer = self._receipts.get(key)
        if answer is None:
            written = self.written(*key[:3]) if is_write else {}
            answer = build(HTTPStatus.NO_CONTENT, {**self._ingest, **written}, b"")
            if len(self._receipts) < _CACHED_RECEIPTS_MAX:
                self._receipts[key] = answer
        return answer

    def _refused(self, receipt: Receipt, route: Route) -> Answer:
        if route is WRITE:
            written = self.written(receipt.samples, receipt.histograms, receipt.exemplars)
            return self.text(HTTPStatus.BAD_REQUEST, _refusal_text(receipt), written)
        status = HTTPStatus.OK if _kept_count(receipt) else HTTPStatus.BAD_REQUEST
        return build(status, {**self._ingest, "Content-Type": _JSON}, _refusal_json(receipt))

    def written(self, samples: int, histograms: int, exemplars: int) -> dict[str, str]:
        """The headers by which remote write is told what was written."""
        return {
            "X-Prometheus-Remote-Write-Samples-Written": str(samples),
            "X-Prometheus-Remote-Write-Histograms-Written": str(histograms),
            "X-Prometheus-Remote-Write-Exemplars-Written": str(exemplars),
        }


def _status(error: NissaError) -> HTTPStatus:
    if isinstance(error, Malformed):
        return HTTPStatus.BAD_REQUEST
    if isinstance(error, TooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if isinstance(error, UnsupportedMedia):
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if isinstance(error, Unavailable):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _kept_count(receipt: Receipt) -> int:
    return receipt.samples + receipt.histograms + receipt.exemplars + receipt.events


def _refusal_text(receipt: Receipt) -> str:
    kept = f"{receipt.samples} samples, {receipt.histograms} histograms, {receipt.exemplars} exemplars"
    lines = [f"refused {receipt.refused_count}, kept {kept}"]
    for reason, count in sorted(receipt.refused.items()):
        setting = _SETTING.get(reason)
        lines.append(f"{reason}: {count}" + (f" (setting: {setting})" if setting else ""))
    return "\n".join(lines)


def _refusal_json(receipt: Receipt) -> bytes:
    counts = {
        "samples": receipt.samples,
        "histograms": receipt.histograms,
        "exemplars": receipt.exemplars,
        "events": receipt.events,
        "metadata": receipt.metadata,
        "refused": receipt.refused,
        "settings": {reason: _SETTING[reason] for reason in receipt.refused if reason in _SETTING},
    }
    return orjson.dumps(counts, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
