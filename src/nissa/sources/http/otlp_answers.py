"""Bodies of answers to OTLP senders, in the content type of the request: protobuf or JSON.

    Export…ServiceResponse     1 partial_success: 1 rejected, 2 error_message         nothing at all on full success
    google.rpc.Status          1 code, 2 message                                      for every other answer

Both are a number and a text, so they are written here, without classes. Senders send again on 429, 502, 503 and 504
alone: what passes by itself is a 503, a fault of Nissa too.
"""

from http import HTTPStatus
from typing import Final

import orjson

from nissa.model.receipt import Receipt

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

# Codes of google.rpc.
_INVALID_ARGUMENT, _RESOURCE_EXHAUSTED, _UNIMPLEMENTED, _UNAVAILABLE, _NOT_FOUND = 3, 8, 12, 14, 5
_CODES: Final = {
    HTTPStatus.NOT_FOUND: _NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: _UNIMPLEMENTED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: _UNAVAILABLE,
    HTTPStatus.TOO_MANY_REQUESTS: _RESOURCE_EXHAUSTED,
}


def export_body(receipt: Receipt, words: str, *, of_logs: bool = False, json: bool) -> bytes:
    """The response to a request that was taken. words: why some of it were not; empty where all were."""
    rejected = receipt.refused_count
    if json:
        name = "rejectedLogRecords" if of_logs else "rejectedDataPoints"
        partial = {"partialSuccess": {name: str(rejected), "errorMessage": words}} if rejected else {}
        return orjson.dumps(partial)
    return _message(1, _pair(rejected, words)) if rejected else b""


def status_body(status: int, words: str, *, json: bool) -> bytes:
    """The Status that says why nothing of a request was taken."""
    code = _CODES.get(HTTPStatus(status), _INVALID_ARGUMENT)
    return orjson.dumps({"code": code, "message": words}) if json else _pair(code, words)


def retry_details(code: int, words: str, retry_after_s: int) -> bytes:
    """The Status of a gRPC answer with a RetryInfo: 1 code, 2 message, 3 details. retry_after_s: seconds."""
    delay = _message(1, b"\x08" + _varint(retry_after_s))  # retry_delay: a Duration of seconds
    info = _message(1, b"type.googleapis.com/google.rpc.RetryInfo") + _message(2, delay)
    return _pair(code, words) + _message(3, info)


def _pair(number: int, text: str) -> bytes:
    return b"\x08" + _varint(number) + _message(2, text.encode())


def _message(field: int, data: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
