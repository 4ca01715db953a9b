"""OTLP in JSON: a request body to the protobuf that it stands for, which the compiled decoders read.

    {"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"5b8e…"}]}]}]}     0a … 12 … 12 … 4a 10 5b 8e …

The mapping is that of proto3, with the exceptions of OTLP: trace and span ids are hex, enums are numbers, names are in
lowerCamelCase only. 64-bit integers are strings or numbers; unknown names are ignored, and null means absent. Each
message is a table of its fields: name → (number, kind). A kind that begins with ``*`` repeats; one that names a table
is a message. Fields that no decoder reads, such as exemplars, are in no table.

A value of another type than its field has refuses the body.
"""

import base64
import binascii
import re
import struct
from collections.abc import Callable
from typing import Any, Final

import orjson

from nissa.model.errors import Malformed

DEPTH_MAX: Final = 100  # of messages inside one another, as protobuf's own parsers have it

_ATTRIBUTES: Final = "*KeyValue"
_POINT: Final = {"startTimeUnixNano": (2, "fixed64"), "timeUnixNano": (3, "fixed64")}
_TOTALS: Final = {**_POINT, "count": (4, "fixed64"), "sum": (5, "double")}
_MESSAGES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "MetricsRequest": {"resourceMetrics": (1, "*ResourceMetrics")},
    "LogsRequest": {"resourceLogs": (1, "*ResourceLogs")},
    "ResourceMetrics": {"resource": (1, "Resource"), "scopeMetrics": (2, "*ScopeMetrics"), "schemaUrl": (3, "text")},
    "ResourceLogs": {"resource": (1, "Resource"), "scopeLogs": (2, "*ScopeLogs"), "schemaUrl": (3, "text")},
    "ScopeMetrics": {"scope": (1, "Scope"), "metrics": (2, "*Metric"), "schemaUrl": (3, "text")},
    "ScopeLogs": {"scope": (1, "Scope"), "logRecords": (2, "*LogRecord"), "schemaUrl": (3, "text")},
    "Resource": {"attributes": (1, _ATTRIBUTES)},
    "Scope": {"name": (1, "text"), "version": (2, "text"), "attributes": (3, _ATTRIBUTES)},
    "KeyValue": {"key": (1, "text"), "value": (2, "AnyValue")},
    "AnyValue": {
        "stringValue": (1, "text"),
        "boolValue": (2, "bool"),
        "intValue": (3, "int64"),
        "doubleValue": (4, "double"),
        "arrayValue": (5, "ArrayValue"),
        "kvlistValue": (6, "KeyValueList"),
        "bytesValue": (7, "base64"),
    },
    "ArrayValue": {"values": (1, "*AnyValue")},
    "KeyValueList": {"values": (1, "*KeyValue")},
    "Metric": {
        "name": (1, "text"),
        "description": (2, "text"),
        "unit": (3, "text"),
        "gauge": (5, "Gauge"),
        "sum": (7, "Sum"),
        "histogram": (9, "Histogram"),
        "exponentialHistogram": (10, "ExponentialHistogram"),
        "summary": (11, "Summary"),
    },
    "Gauge": {"dataPoints": (1, "*Number")},
    "Sum": {"dataPoints": (1, "*Number"), "aggregationTemporality": (2, "uint32"), "isMonotonic": (3, "bool")},
    "Histogram": {"dataPoints": (1, "*HistogramPoint"), "aggregationTemporality": (2, "uint32")},
    "ExponentialHistogram": {"dataPoints": (1, "*ExponentialPoint"), "aggregationTemporality": (2, "uint32")},
    "Summary": {"dataPoints": (1, "*SummaryPoint")},
    "Number": {
        **_POINT,
        "asDouble": (4, "double"),
        "asInt": (6, "sfixed64"),
        "attributes": (7, _ATTRIBUTES),
        "flags": (8, "uint32"),
    },
    "HistogramPoint": {
        **_TOTALS,
        "bucketCounts": (6, "*fixed64"),
        "explicitBounds": (7, "*double"),
        "attributes": (9, _ATTRIBUTES),
        "flags": (10, "uint32"),
    },
    "ExponentialPoint": {
        **_TOTALS,
        "attributes": (1, _ATTRIBUTES),
        "scale": (6, "sint32"),
        "zeroCount": (7, "fixed64"),
        "positive": (8, "Buckets"),
        "negative": (9, "Buckets"),
        "flags": (10, "uint32"),
        "zeroThreshold": (14, "double"),
    },
    "Buckets": {"offset": (1, "sint32"), "bucketCounts": (2, "*uint64")},
    "SummaryPoint": {
        **_TOTALS,
        "quantileValues": (6, "*Quantile"),
        "attributes": (7, _ATTRIBUTES),
        "flags": (8, "uint32"),
    },
    "Quantile": {"quantile": (1, "double"), "value": (2, "double")},
    "LogRecord": {
        "timeUnixNano": (1, "fixed64"),
        "severityNumber": (2, "uint32"),
        "severityText": (3, "text"),
        "body": (5, "AnyValue"),
        "attributes": (6, _ATTRIBUTES),
        "flags": (8, "fixed32"),
        "traceId": (9, "hex"),
        "spanId": (10, "hex"),
        "observedTimeUnixNano": (11, "fixed64"),
        "eventName": (12, "text"),
    },
}
_WIRE: Final = {
    **dict.fromkeys(("fixed64", "sfixed64", "double"), 1),
    **dict.fromkeys(("bool", "int64", "uint64", "uint32", "sint32"), 0),
    "fixed32": 5,
}


_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_REAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|NaN|-?Infinity")


def protobuf_of(body: bytes | memoryview, *, of_logs: bool) -> bytes:
    """The protobuf form of a request in JSON.

    body: without its content encoding. of_logs: an ExportLogsServiceRequest, otherwise ExportMetricsServiceRequest.
    Raises: Malformed, with the path of what is at fault.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error}") from error
    return _message(found, "LogsRequest" if of_logs else "MetricsRequest", "", 0)


def _message(value: Any, name: str, path: str, depth: int) -> bytes:
    if not isinstance(value, dict):
        raise Malformed(f"{path or 'the body'}: expected an object")
    if depth > DEPTH_MAX:
        raise Malformed(f"{path[:200]}: more than {DEPTH_MAX} objects inside one another")
    fields = _MESSAGES[name]
    pieces: list[bytes] = []
    for key, each in value.items():
        field = fields.get(key)
        if field is None or each is None:
            continue
        number, kind = field
        where = f"{path}.{key}" if path else key
        if kind.startswith("*"):
            _add_repeated(pieces, each, number, kind[1:], where, depth)
        else:
            _add(pieces, each, number, kind, where, depth)
    return b"".join(pieces)


def _add_repeated(pieces: list[bytes], values: Any, number: int, kind: str, where: str, depth: int) -> None:
    if not isinstance(values, list):
        raise Malformed(f"{where}: expected an array")
    if kind in _WIRE:
        packed = b"".join(_scalar(each, kind, f"{where}[{place}]") for place, each in enumerate(values))
        pieces += (_varint(number << 3 | 2), _varint(len(packed)), packed)
        return
    for place, each in enumerate(values):
        _add(pieces, each, number, kind, f"{where}[{place}]", depth)


def _add(pieces: list[bytes], value: Any, number: int, kind: str, where: str, depth: int) -> None:
    wire = _WIRE.get(kind)
    if wire is not None:
        pieces += (_varint(number << 3 | wire), _scalar(value, kind, where))
        return
    data = _message(value, kind, where, depth + 1) if kind in _MESSAGES else _bytes(value, kind, where)
    pieces += (_varint(number << 3 | 2), _varint(len(data)), data)


def _bytes(value: Any, kind: str, where: str) -> bytes:
    if not isinstance(value, str):
        raise Malformed(f"{where}: expected a string")
    try:
        if kind == "hex":
            return binascii.unhexlify(value)
        if kind == "base64":
            return base64.b64decode(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4), validate=True)
        return value.encode()
    except (ValueError, binascii.Error) as error:
        raise Malformed(f"{where}: expected {kind}") from error


def _scalar(value: Any, kind: str, where: str) -> bytes:
    try:
        return _SCALARS[kind](value)
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        raise Malformed(f"{where}: expected {kind}, got {str(value)[:40]!r}") from error


def _integer(value: Any, low: int, high: int) -> int:
    """An integer from a number, or from a string of one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("no integer")
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        raise ValueError("no integer")
    number = int(value)
    if not low <= number < high or (isinstance(value, float) and number != value):
        raise OverflowError("not in range")
    return number


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("no number")
    if isinstance(value, str) and not _REAL.fullmatch(value):
        raise ValueError("no number")
    return float(value)


def _truth(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return b"\x01" if value else b"\x00"


def _signed(value: Any) -> bytes:
    number = _integer(value, -(2**31), 2**31)
    return _varint(number << 1 if number >= 0 else (-number << 1) - 1)


_SCALARS: Final[dict[str, Callable[[Any], bytes]]] = {
    "bool": _truth,
    "int64": lambda value: _varint(_integer(value, -(2**63), 2**63) % 2**64),
    "uint64": lambda value: _varint(_integer(value, 0, 2**64)),
    "uint32": lambda value: _varint(_integer(value, 0, 2**32)),
    "sint32": _signed,
    "fixed64": lambda value: _integer(value, 0, 2**64).to_bytes(8, "little"),
    "sfixed64": lambda value: (_integer(value, -(2**63), 2**63) % 2**64).to_bytes(8, "little"),
    "fixed32": lambda value: _integer(value, 0, 2**32).to_bytes(4, "little"),
    "double": lambda value: struct.pack("<d", _real(value)),
}


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
