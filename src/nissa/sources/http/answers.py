"""Responses of the ingest port: status and body for each outcome.

========================  ======  ==============================================================================
outcome                   status  body
========================  ======  ==============================================================================
Receipt, nothing refused  204     none
Receipt, some refused     400     remote write: numbers kept, counts per reason, the first record of each, and the
                                  setting that moves it
Receipt, some refused     400     lines, imports: JSON that names the lines; strings alone are no reason
Receipt, nothing refused  200     pushes; 202 for a deletion
Receipt, some refused     400     pushes, as remote write
Receipt, some refused     200     telemetry: the same counts as JSON; 400 where nothing at all was kept
any Receipt               200     OTLP: its response, with a partial success where some were refused
Malformed                 400     what, and at which byte
TooLarge                  413     got, limit, setting
Unauthorized, UnsupportedMedia          415     got, expected
RateLimited               429     which limit, with Retry-After
Unavailable               503     why, with Retry-After
anything else             500     what broke: ours to answer for, so remote write retries it
========================  ======  ==============================================================================

Every answer to an ingest path names the durability in force, and every one to remote write 2.0 what was written,
failures included: a sender takes an absent count for a receiver that does not know 2.0. Answers to 1.0 have no counts.

Responses are built once and sent many times, so they have no ``Date``: the connection inserts it after the status line.

Senders drop a batch on a 4xx and resend it on a 5xx. Therefore a 4xx means that the request would always fail, and
temporary faults (a slow body, a full queue, a disk) are a 503 with Retry-After.
"""

from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import msgspec
import orjson

from nissa.model.errors import (
    Malformed,
    NissaError,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
)
from nissa.model.intake import Outcome
from nissa.model.receipt import Example, Receipt
from nissa.model.refusal import Refusal
from nissa.model.units import SECOND_MS
from nissa.sources.http.line_answers import refused_body, refused_lines
from nissa.sources.http.otlp_answers import JSON, PROTOBUF, export_body, status_body
from nissa.sources.http.routes import IMPORT, WRITE, Route

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

# Receipts of whole batches repeat; senders use few batch sizes.
_CACHED_RECEIPTS_MAX: Final = 1_024

_SETTING: Final = {
    str(Refusal.LABELS_TOO_MANY): "series.labels_per_series_max",
    str(Refusal.LABEL_TOO_LONG): "series.label_name_size_max, series.label_value_size_max",
    str(Refusal.SERIES_LIMIT): "series.active_max",
    str(Refusal.TOO_OLD): "acceptance.past",
    str(Refusal.TOO_NEW): "acceptance.future",
}

_TELEMETRY_SETTING: Final = _SETTING | {
    str(Refusal.TOO_OLD): "acceptance.past; events: acceptance.event_past",
    str(Refusal.TOO_NEW): "acceptance.future; events: acceptance.event_future",
}

_IMPORT_SETTING: Final = _SETTING | {str(Refusal.TOO_OLD): "acceptance.import_past"}

_OUTSIDE: Final = (str(Refusal.TOO_OLD), str(Refusal.TOO_NEW))

# Moments from 1973 to 5138 in another unit. In milliseconds they would be of 1970 to 1973, or from 5138 on.
_UNITS: Final = (
    ("seconds", 10**8, 10**11),
    ("microseconds", 10**14, 10**17),
    ("nanoseconds", 10**17, 2**63),
)
_DATE_MS_MAX: Final = 253_402_300_799_999  # the last millisecond that a date of four digits has

IMPORTED_HEADER: Final = "X-Nissa-Samples-Imported"
_TEXT: Final = "text/plain; charset=utf-8"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One response: its status line, and what follows the date in two forms.

    keep: leaves the connection open. close: says that it ends.
    """

    status: int
    line: bytes
    keep: bytes
    close: bytes


def build(status: int, headers: dict[str, str], body: bytes, *, body_sent: bool = True) -> Answer:
    """The bytes of a response. body_sent False (HEAD): the headers of ``body`` without it."""
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    if status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(body)}\r\n")
    head = "".join(lines).encode("latin-1", "replace")
    tail = b"\r\n" + (body if body_sent else b"")
    return Answer(status, line, head + tail, head + b"Connection: close\r\n" + tail)


def date_line(now_s: int) -> bytes:
    """The header Date of this Unix second."""
    return f"Date: {formatdate(now_s, usegmt=True)}\r\n".encode()


class Answers:
    """Answers of one durability mode."""

    def __init__(self, durability: str) -> None:
        self.durability = durability
        self._ingest = {"X-Nissa-Durability": durability}
        self._receipts: dict[tuple[int, int, int, bool], Answer] = {}

    def outcome(self, outcome: Outcome, route: Route, second: bool, *, json: bool = False) -> Answer:
        """Answer for ``outcome`` to a sender on ``route``.

        second: True for remote write 2.0. json: True for OTLP in JSON.
        """
        if route is IMPORT and isinstance(outcome, Receipt) and not outcome.refused:
            return build(HTTPStatus.NO_CONTENT, {**self._ingest, IMPORTED_HEADER: str(outcome.samples)}, b"")
        if route.lines:
            return self._of_lines(outcome, _IMPORT_SETTING if route is IMPORT else _SETTING)
        if route.otlp:
            return self._of_otlp(outcome, route, json=json)
        if isinstance(outcome, Receipt):
            return self._refused(outcome, route, second) if outcome.refused else self._kept(outcome, second)
        return self.error(outcome, second)

    def pushed(self, outcome: Outcome, status: HTTPStatus) -> Answer:
        """Answer for the ``outcome`` of a push. status: of a success."""
        if isinstance(outcome, NissaError):
            return self.error(outcome, second=False)
        if outcome.refused:
            return self.text(HTTPStatus.BAD_REQUEST, _refusal_text(outcome))
        return build(status, self._ingest, b"")

    def error(self, error: NissaError, second: bool) -> Answer:
        """Answer for an error: nothing was stored."""
        headers = self.written(0, 0, 0) if second else {}
        if isinstance(error, Unavailable):
            headers["Retry-After"] = str(error.retry_after_s)
        if isinstance(error, Unauthorized):
            headers["WWW-Authenticate"] = 'Bearer realm="nissa"'
        return self.text(_status(error), str(error), headers)

    def text(self, status: int, text: str, headers: dict[str, str] | None = None, *, body_sent: bool = True) -> Answer:
        """Return a text answer.

        status: HTTP status. text: the body. headers: further ones. body_sent: whether the client has sent its whole
        body; if not, the connection is closed after the answer.
        """
        every = {**self._ingest, "Content-Type": _TEXT, **(headers or {})}
        return build(status, every, text.encode() + b"\n", body_sent=body_sent)

    def otlp_error(self, status: HTTPStatus, text: str, headers: dict[str, str], *, json: bool) -> Answer:
        """An answer to an OTLP sender nothing of whose request was stored. A fault of ours is worth another try."""
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            status, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1", **headers}
        every = {**self._ingest, "Content-Type": JSON if json else PROTOBUF, **headers}
        return build(status, every, status_body(status, text, json=json))

    def _kept(self, receipt: Receipt, second: bool) -> Answer:
        key = (receipt.samples, receipt.histograms, receipt.exemplars, second)
        answer = self._receipts.get(key)
        if answer is None:
            written = self.written(*key[:3]) if second else {}
            answer = build(HTTPStatus.NO_CONTENT, {**self._ingest, **written}, b"")
            if len(self._receipts) < _CACHED_RECEIPTS_MAX:
                self._receipts[key] = answer
        return answer

    def _refused(self, receipt: Receipt, route: Route, second: bool) -> Answer:
        if route is WRITE:
            written = self.written(receipt.samples, receipt.histograms, receipt.exemplars) if second else {}
            return self.text(HTTPStatus.BAD_REQUEST, _refusal_text(receipt), written)
        status = HTTPStatus.OK if _kept_count(receipt) else HTTPStatus.BAD_REQUEST
        return build(status, {**self._ingest, "Content-Type": JSON}, _refusal_json(receipt))

    def _of_lines(self, outcome: Outcome, settings: dict[str, str]) -> Answer:
        """Answer as InfluxDB gives it. Strings are passed over as VictoriaMetrics does: no fault of the sender."""
        if isinstance(outcome, Receipt):
            if outcome.refused.keys() <= {str(Refusal.VALUE_TEXT)}:
                return self._kept(outcome, second=False)
            body = refused_lines(outcome, settings)
            return build(HTTPStatus.BAD_REQUEST, {**self._ingest, "Content-Type": JSON}, body)
        headers = {**self._ingest, "Content-Type": JSON}
        if isinstance(outcome, Unavailable):
            headers["Retry-After"] = str(outcome.retry_after_s)
        status = _status(outcome)
        return build(status, headers, refused_body(status, str(outcome)))

    def _of_otlp(self, outcome: Outcome, route: Route, *, json: bool) -> Answer:
        if isinstance(outcome, Receipt):
            words = refusal_words(outcome, of_logs=route.logs)
            headers = {**self._ingest, "Content-Type": JSON if json else PROTOBUF}
            return build(HTTPStatus.OK, headers, export_body(outcome, words, of_logs=route.logs, json=json))
        headers = {"Retry-After": str(outcome.retry_after_s)} if isinstance(outcome, Unavailable) else {}
        return self.otlp_error(_status(outcome), str(outcome), headers, json=json)

    def written(self, samples: int, histograms: int, exemplars: int) -> dict[str, str]:
        """Return the headers that report the numbers written to a sender of remote write 2.0.

        samples, histograms, exemplars: numbers of each.
        """
        return {
            "X-Prometheus-Remote-Write-Samples-Written": str(samples),
            "X-Prometheus-Remote-Write-Histograms-Written": str(histograms),
            "X-Prometheus-Remote-Write-Exemplars-Written": str(exemplars),
        }


def refusal_words(receipt: Receipt, *, of_logs: bool) -> str:
    """Reasons for what was refused of an OTLP request, in one line; empty where all was taken. of_logs: of events."""
    return "; ".join(_reasons(receipt, _TELEMETRY_SETTING if of_logs else _SETTING))


def _status(error: NissaError) -> HTTPStatus:
    if isinstance(error, Malformed):
        return HTTPStatus.BAD_REQUEST
    if isinstance(error, TooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if isinstance(error, Unauthorized):
        return HTTPStatus.UNAUTHORIZED
    if isinstance(error, UnsupportedMedia):
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if isinstance(error, RateLimited):
        return HTTPStatus.TOO_MANY_REQUESTS
    if isinstance(error, Unavailable):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _kept_count(receipt: Receipt) -> int:
    return receipt.samples + receipt.histograms + receipt.exemplars + receipt.events


def _refusal_text(receipt: Receipt) -> str:
    kept = f"{receipt.samples} samples, {receipt.histograms} histograms, {receipt.exemplars} exemplars"
    return "\n".join([f"refused {receipt.refused_count}, kept {kept}", *_reasons(receipt)])


def _reasons(receipt: Receipt, settings: dict[str, str] = _SETTING) -> list[str]:
    """A line for each reason: the number of refused records, and the first of them."""
    lines = []
    for reason, count in sorted(receipt.refused.items()):
        setting = settings.get(reason)
        line = f"{reason}: {count}" + (f" (setting: {setting})" if setting else "")
        example = receipt.examples.get(reason)
        lines.append(
            line if example is None else f"{line}; the first: {_example_text(example)}{_hint(reason, example)}"
        )
    return lines


def _example_text(example: Example) -> str:
    words = [example.series] if example.series else []
    words += [] if example.ts_ms is None else [f"at {example.ts_ms} ms{_date(example.ts_ms)}"]
    words += [] if example.offset is None else [f"(byte {example.offset})"]
    return " ".join(words)


def _date(ts_ms: int) -> str:
    if not 0 <= ts_ms <= _DATE_MS_MAX:
        return ""
    moment = datetime.fromtimestamp(ts_ms / SECOND_MS, UTC)
    return f" = {moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def _hint(reason: str, example: Example) -> str:
    """The probable cause of a time outside the acceptance window."""
    if reason not in _OUTSIDE or example.ts_ms is None:
        return ""
    for unit, first, end in _UNITS:
        if first <= example.ts_ms < end:
            return f"; timestamps are expected in milliseconds, this one looks like {unit}"
    return ""


def _refusal_json(receipt: Receipt) -> bytes:
    hints = {reason: _hint(reason, example).removeprefix("; ") for reason, example in receipt.examples.items()}
    counts = {
        "samples": receipt.samples,
        "histograms": receipt.histograms,
        "exemplars": receipt.exemplars,
        "events": receipt.events,
        "metadata": receipt.metadata,
        "refused": receipt.refused,
        "examples": {reason: msgspec.structs.asdict(example) for reason, example in receipt.examples.items()},
        "hints": {reason: hint for reason, hint in hints.items() if hint},
        "settings": {reason: setting for reason in receipt.refused if (setting := _TELEMETRY_SETTING.get(reason))},
    }
    return orjson.dumps(counts, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
