"""Bodies of answers to senders of InfluxDB lines: JSON that the clients of InfluxDB 1, 2 and 3 read.

    {"code": "invalid", "message": "partial write: 12 written, …", "error": <the same>, "samples": 12, "refused": {…},
     "data": [{"line_number": 3, "original_line": "cpu x", "error_message": "record_malformed: a line ends …"}]}

Clients of version 1 read ``error``, those of 2 ``code`` and ``message``, those of 3 ``error`` and ``data``. Telegraf
takes "partial write" for an answer after which nothing is sent again.
"""

from collections.abc import Mapping
from http import HTTPStatus

import orjson

from nissa.model.receipt import Receipt
from nissa.model.text_faults import LineFault

_CODES = {
    HTTPStatus.BAD_REQUEST: "invalid",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "invalid",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests",
}
NOTHING_MORE: Mapping[str, object] = {}
_NAMED_IN_WORDS = 3  # lines that the message names; data has the others


def refused_lines(receipt: Receipt, settings: Mapping[str, str]) -> bytes:
    """The body for a receipt with refusals. settings: reason -> the settings that move it."""
    data = [
        {"line_number": fault.line, "original_line": fault.text, "error_message": _words(fault, settings)}
        for fault in receipt.lines
    ]
    named = "; ".join(f"line {each['line_number']}: {each['error_message']}" for each in data[:_NAMED_IN_WORDS])
    counts = ", ".join(f"{reason} {count}" for reason, count in sorted(receipt.refused.items()))
    text = f"partial write: {receipt.samples} written, {receipt.refused_count} refused ({counts}); {named}"
    counted = {"samples": receipt.samples, "refused": receipt.refused}
    return refused_body(HTTPStatus.BAD_REQUEST, text, {**counted, "data": data})


def refused_body(status: HTTPStatus, text: str, more: Mapping[str, object] = NOTHING_MORE) -> bytes:
    """Return the JSON body for one fault.

    status: HTTP status. text: the fault. more: further members, such as the refused lines.
    """
    body: dict[str, object] = {"code": _CODES.get(status, "internal error"), "message": text, "error": text}
    return orjson.dumps({**body, **more}, option=orjson.OPT_APPEND_NEWLINE)


def _words(fault: LineFault, settings: Mapping[str, str]) -> str:
    words = [fault.reason]
    words += [f": {fault.words}"] if fault.words else []
    words += [f": its time is {fault.ts_ms} ms"] if fault.ts_ms is not None else []
    words += [f" (setting: {settings[fault.reason]})"] if fault.reason in settings else []
    return "".join(words)
