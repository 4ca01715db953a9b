"""Slow obvious twin of the OTLP metrics decoder, on the classes of opentelemetry-proto, and a generator of requests."""

import base64
import math
import random
import re
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m

from nissa._fast.number_text import number_texts
from oracle.wire import BYTES, FIXED32, VARINT, WIRE, F, Refused, a_double, repeated, split

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "kBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
POINTS = {
    "gauge": m.NumberDataPoint,
    "sum": m.NumberDataPoint,
    "histogram": m.HistogramDataPoint,
    "exponential_histogram": m.ExponentialHistogramDataPoint,
    "summary": m.SummaryDataPoint,
}
INNER = {
    **dict.fromkeys(("positive", "negative"), m.ExponentialHistogramDataPoint.Buckets.DESCRIPTOR),
    "quantile_values": m.SummaryDataPoint.ValueAtQuantile.DESCRIPTOR,
}
TYPES = {"histogram": "histogram", "exponential_histogram": "histogram", "summary": "summary", "gauge": "gauge"}
WHO = ("service.name", "service.namespace", "service.instance.id")
LABELS_MAX, NAME_MAX, VALUE_MAX, BUCKETS_MAX, SIDE_MAX, POWERS_MAX = 64, 1024, 65535, 512, 1024, 64
Labels = tuple[tuple[str, str], ...]


class Answer(NamedTuple):
    """rows: (labels sorted by name, ts_ms, value). refused: reason -> data points; refused_rows: rows.

    metadata: (name, type, help, unit) of metrics with a sound series. points: accepted.
    """

    rows: list[tuple[Labels, int, float]]
    refused: dict[str, int]
    refused_rows: dict[str, int]
    metadata: list[tuple[str, str, str, str]]
    points: int


# ---- Strictness ------------------------------------------------------------------------------------------------------


def fields(descriptor: Any, data: bytes, texts: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, bytes]]:
    """(name, value, raw bytes) of each known field, of its wire type; what may stand once stands once."""
    seen: set[str] = set()
    for number, wire, value, raw in split(data):
        field = descriptor.fields_by_number.get(number)
        if field is None or field.name.endswith("strindex"):  # of profiles alone
            continue
        own = WIRE.get(field.type, VARINT)
        own = own if field.type not in (F.TYPE_FIXED64, F.TYPE_SFIXED64) else 1
        own = own if field.type != F.TYPE_FIXED32 else FIXED32
        if wire != own and not (repeated(field) and own != BYTES and wire == BYTES):
            raise Refused(f"{field.full_name}: wire type {wire}")
        group = field.containing_oneof.name if field.containing_oneof else ""
        if group in ("value", "data") or (field.type == F.TYPE_MESSAGE and not repeated(field)):
            group = group or field.name
            if group in seen:
                raise Refused(f"{field.full_name}: twice")
            seen.add(group)
        if field.name in texts:
            utf8(value)
        yield field.name, value, raw


def without(data: bytes, unread: int) -> bytes:
    """A message without one field, which the decoder does not read."""
    return b"".join(raw for number, _, _, raw in split(data) if number != unread)


def utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Refused("not UTF-8", "text_not_utf8") from error


def pairs_of(values: list[bytes]) -> list[tuple[bytes, bytes]]:
    """(key, AnyValue) of KeyValues."""
    out = []
    for each in values:
        key = value = b""
        for name, found, _ in fields(KeyValue.DESCRIPTOR, each):
            if name == "key":
                key = found
            elif name == "value":
                value = found
        out.append((key, value))
    return out


# ---- Values and names ------------------------------------------------------------------------------------------------


def value_of(data: bytes, depth: int = 0) -> Any:
    """An AnyValue as Python has it; bytes are kept apart from text, lists of pairs from arrays."""
    kind, found = "", None
    for name, value, _ in fields(AnyValue.DESCRIPTOR, data):
        kind, found = name, value
    if kind == "bool_value":
        return found != 0
    if kind == "int_value":
        return found - (1 << 64) if found >= 1 << 63 else found
    if kind == "double_value":
        return struct.unpack("<d", found)[0]
    if kind == "array_value" or kind == "kvlist_value":
        if depth >= 32:
            raise Refused("too deep")
        messages = []
        for number, wire, value, _ in split(found):
            if number == 1:
                if wire != BYTES:
                    raise Refused("wire type")
                messages.append(value)
        if kind == "array_value":
            return [value_of(each, depth + 1) for each in messages]
        return Pairs((key, value_of(value, depth + 1)) for each in messages for key, value in pairs_of([each]))
    return Bytes(found) if kind == "bytes_value" else found


class Bytes(bytes):
    """A bytes_value; a string_value is bytes."""


class Pairs(list):  # type: ignore[type-arg]
    """A kvlist_value."""


def number_text(value: float) -> str:
    import numpy as np

    return number_texts(np.array([value]))[0]


def text_of(data: bytes) -> bytes:
    value = value_of(data)
    return b"" if value is None else bytes(value) if type(value) is bytes else as_text(value, inside=False)


def as_text(value: Any, *, inside: bool) -> bytes:
    """A value as text; inside of JSON strings are quoted."""
    if value is None:
        return b"null"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return str(value).encode()
    if isinstance(value, float):
        text = number_text(value)
        return f'"{text}"'.encode() if inside and not math.isfinite(value) else text.encode()
    if isinstance(value, Bytes):
        text = base64.b64encode(value).decode()
        return f'"{text}"'.encode() if inside else text.encode()
    if isinstance(value, bytes):
        return quoted(value)
    if isinstance(value, Pairs):
        return b"{" + b",".join(quoted(key) + b":" + as_text(each, inside=True) for key, each in value) + b"}"
    return b"[" + b",".join(as_text(each, inside=True) for each in value) + b"]"


def quoted(text: bytes) -> bytes:
    special = {0x22: b'\\"', 0x5C: b"\\\\", 10: b"\\n", 13: b"\\r", 9: b"\\t"}
    return b'"' + b"".join(special.get(c, bytes([c]) if c >= 32 else b"\\u%04x" % c) for c in text) + b'"'


def unit_words(unit: str) -> tuple[str, str]:
    main, _, per = unit.partition("/")
    words = []
    for text, table in ((main, UNITS), (per, PER)):
        text = text.strip(" \t\n\v\f\r")
        words.append("" if "{" in text or "}" in text else table.get(text, text))
    cleaned = [re.sub("[^a-zA-Z0-9:]+", "_", word) for word in (words[0], "per_" + words[1] if words[1] else "")]
    return cleaned[0].removeprefix("_"), cleaned[1]


def metric_name(name: str, unit: str, kind: str, monotonic: bool) -> str:
    tokens = re.findall("[a-zA-Z0-9:]+", name)
    main, per = unit_words(unit)
    main = "" if main in tokens else main
    per = "" if per == "per_" else per.removesuffix("_")
    per = "" if per in tokens else per
    main = main.removesuffix("_") if per else main
    tokens += [word for word in (main, per) if word]
    for wanted, word in ((kind == "sum" and monotonic, "total"), (kind == "gauge" and unit == "1", "ratio")):
        if wanted:
            tokens = [token for token in tokens if token != word] + [word]
    joined = "_".join(tokens)
    return "_" + joined if joined[:1].isdigit() else joined


def unit_name(unit: str) -> str:
    return "_".join(word for each in unit_words(unit) if (word := each.removesuffix("_")))


def label_name(key: str) -> str:
    name = re.sub("[^a-zA-Z0-9_]", "_", key)
    if name[:1].isdigit():
        name = "key_" + name
    elif name.startswith("_") and not name.startswith("__"):
        name = "key" + name
    return name if name.strip("_") or name == key else ""


# ---- Labels ----------------------------------------------------------------------------------------------------------


def attribute_labels(values: list[bytes], passed: tuple[str, ...] = ()) -> list[tuple[str, bytes]]:
    """Labels of attributes, joined where their keys become one name. Raises: Refused."""
    found = []
    for each in values:
        ((key, value),) = pairs_of([each])
        if key.decode("latin-1") not in passed:
            found.append((key, utf8(key), text_of(value)))
    if len({label_name(key) for _, key, _ in found}) < len(found):
        found.sort(key=lambda pair: pair[0])
    labels: dict[str, bytes] = {}
    for _, key, text in found:
        name = label_name(key)
        labels[name] = labels[name] + b";" + text if name in labels else text
    return list(labels.items())


def scope_labels(scope: bytes, schema_url: str) -> list[tuple[str, bytes]]:
    named: dict[str, bytes] = {}
    labels: list[tuple[str, bytes]] = []
    for name, value, _ in fields(InstrumentationScope.DESCRIPTOR, without(scope, 4)):
        if name == "attributes":
            ((key, found),) = pairs_of([value])
            sanitized = re.sub("[^a-zA-Z0-9_]", "_", utf8(key))
            labels.append((f"otel_scope_{sanitized}", text_of(found)))
        elif name in ("name", "version"):
            named[name] = value
    named["schema_url"] = schema_url.encode()
    return labels + [(f"otel_scope_{name}", value) for name, value in named.items() if value]


def identity_labels(who: dict[str, bytes]) -> list[tuple[str, bytes]]:
    labels = []
    if "service.name" in who:
        job = text_of(who["service.name"])
        space = text_of(who.get("service.namespace", b""))
        job = space + b"/" + job if space else job
        labels += [("job", job)] if job else []
    if "service.instance.id" in who:
        instance = text_of(who["service.instance.id"])
        labels += [("instance", instance)] if instance else []
    return labels


def arranged(labels: list[tuple[str, bytes]]) -> Labels:
    """The last of a name holds. Raises: Refused, with the reason."""
    last = dict(labels)
    texts = [(name, utf8(value)) for name, value in last.items()]
    for name, value in texts:
        if not name:
            raise Refused("empty", "label_name_empty")
        if value and (len(name.encode()) > NAME_MAX or len(value.encode()) > VALUE_MAX):
            raise Refused("long", "label_too_long")
    texts = [pair for pair in texts if pair[1]]
    if len(texts) > LABELS_MAX:
        raise Refused("many", "labels_too_many")
    if "__name__" not in dict(texts):
        raise Refused("nameless", "name_missing")
    return tuple(sorted(texts))


# ---- Points ----------------------------------------------------------------------------------------------------------


def explicit_buckets(point: Any, stale: bool) -> list[tuple[float, int]] | None:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if len(bounds) > BUCKETS_MAX or len(counts) > BUCKETS_MAX + 1:
        return None
    if not stale and len(counts) != len(bounds) + 1 and (counts or bounds):
        return None
    if any(math.isnan(b) for b in bounds) or any(not b > a for a, b in pairwise(bounds)):
        return None
    if not stale and counts and (sum(counts) != point.count):
        return None
    totals = [0 if stale else sum(counts[: place + 1]) for place in range(len(bounds))]
    return [(bound, total) for bound, total in zip(bounds, totals, strict=True) if bound != math.inf]


def exponential_buckets(point: Any, stale: bool) -> list[tuple[float, int]] | None:
    sides = []
    for side in (point.negative, point.positive):
        counts = [] if stale else list(side.bucket_counts)
        sides.append({side.offset + place: count for place, count in enumerate(counts) if count})
        if len(counts) > SIDE_MAX:
            return None
    zeros = 0 if stale else point.zero_count
    if not stale and zeros + sum(sides[0].values()) + sum(sides[1].values()) != point.count:
        return None
    if not 0 <= point.zero_threshold < math.inf or not -11 <= point.scale <= 31:
        return None
    shift = shift_of(sides, point.scale)
    negative, positive = merged(sides[0], shift), merged(sides[1], shift)
    found: list[tuple[float, int]] = []

    def add(bound: float, total: int) -> None:
        if found and not bound > found[-1][0]:
            found[-1] = (found[-1][0], total)
        elif not math.isinf(bound):
            found.append((bound + 0.0, total))

    def power(place: int) -> float:
        exponent = place * 2 ** (shift - point.scale)
        return math.inf if exponent > 1023 else 0.0 if exponent < -1074 else math.ldexp(1.0, exponent)

    for place in range(max(negative), min(negative) - 2, -1) if negative else ():
        add(-power(place + 1), sum(count for key, count in negative.items() if key > place))
    below = sum(negative.values()) + zeros
    add(point.zero_threshold, below)
    for place in range(min(positive) - 1, max(positive) + 1) if positive else ():
        add(power(place + 1), below + sum(count for key, count in positive.items() if key <= place))
    return found


def shift_of(sides: list[dict[int, int]], scale: int) -> int:
    shift = max(scale, 0)
    while any(side and (max(side) >> shift) - (min(side) >> shift) + 2 > POWERS_MAX for side in sides) and shift < 63:
        shift += 1
    return shift


def merged(side: dict[int, int], shift: int) -> dict[int, int]:
    out: dict[int, int] = {}
    for place, count in side.items():
        out[place >> shift] = out.get(place >> shift, 0) + count
    return out


Part = tuple[str, tuple[tuple[str, bytes], ...], float, bool]  # suffix, labels, value, began at 0


def parts_of(kind: str, point: Any, monotonic: bool) -> list[Part] | str:
    """The series of a data point; or the reason for which it is refused."""
    stale = bool(point.flags & 1)
    if kind in ("gauge", "sum"):
        which = point.WhichOneof("value")
        if which is None and not stale:
            return "record_malformed"
        return [("", (), float(getattr(point, which)) if which else 0.0, kind == "sum" and monotonic)]
    parts: list[Part] = [("_count", (), float(point.count), True)]
    if kind == "summary" or point.HasField("sum"):
        parts.append(("_sum", (), point.sum, True))
    if kind == "summary":
        if len(point.quantile_values) > BUCKETS_MAX:
            return "histogram_invalid"
        for each in point.quantile_values:
            parts.append(("", (("quantile", number_text(each.quantile).encode()),), each.value, False))
        return parts
    buckets = (explicit_buckets if kind == "histogram" else exponential_buckets)(point, stale)
    if buckets is None:
        return "histogram_invalid"
    for bound, total in [(math.inf, point.count), *buckets]:
        parts.append(("_bucket", (("le", number_text(bound).encode()),), float(total), True))
    return parts


def read_point(kind: str, data: bytes) -> tuple[Any, list[bytes]]:
    """A data point, and its attributes, which are not looked at. Raises: Refused."""
    plain, attributes = b"", []
    for name, value, raw in fields(POINTS[kind].DESCRIPTOR, data):
        if name == "attributes":
            attributes.append(value)
        elif name != "exemplars":
            plain += raw
        if name in INNER:
            list(fields(INNER[name], value))
        if name in ("bucket_counts", "explicit_bounds") and isinstance(value, bytes) and len(value) % 8:
            raise Refused("packed")
    try:
        return POINTS[kind].FromString(plain), attributes
    except DecodeError as error:  # varints that are cut off
        raise Refused("google") from error


class Twin:
    """Decodes one body after another: the start of each counter is remembered, and totals of differences."""

    def __init__(self, *, adds_up: bool = True) -> None:
        self.starts: dict[Labels, int] = {}
        self.totals: dict[Labels, tuple[float, int]] = {}  # total, time of the last difference
        self.adds_up = adds_up

    def expect(self, body: bytes, oldest_ms: int, newest_ms: int) -> Answer:
        """Return the body as it must become. Raises: Refused, where it is refused as a whole."""
        answer = Answer([], {}, {}, [], 0)
        begun: list[tuple[Labels, int]] = []
        points = 0
        for _, value, _ in fields(ExportMetricsServiceRequest.DESCRIPTOR, body):
            points += self._resource(value, answer, begun, oldest_ms, newest_ms)
        for labels, start_ms in begun:
            if self.starts.get(labels, 0) != start_ms:
                self.starts[labels] = start_ms
                if oldest_ms <= start_ms <= newest_ms:
                    answer.rows.append((labels, start_ms, 0.0))
        return answer._replace(points=points)

    def _resource(self, data: bytes, answer: Answer, begun: list[Any], oldest_ms: int, newest_ms: int) -> int:
        found = list(fields(m.ResourceMetrics.DESCRIPTOR, data, ("schema_url",)))
        attributes: list[bytes] = []
        for name, value, _ in found:
            if name == "resource":
                attributes = [v for n, v, _ in resource_fields(value) if n == "attributes"]
        pairs = pairs_of(attributes)
        who = {key.decode(): value for key, value in pairs if key.decode("latin-1") in WHO}
        out = _Resource(who, attributes, len(pairs) > sum(key.decode("latin-1") in WHO for key, _ in pairs))
        points = 0
        for name, value, _ in found:
            if name == "scope_metrics":
                points += self._scope(value, out, answer, begun, oldest_ms, newest_ms)
        tells = who.get("service.name") or who.get("service.instance.id")
        if out.others and tells and out.times:
            labels: list[tuple[str, bytes]] = []
            try:
                labels = attribute_labels(attributes, WHO)
                labels += [("__name__", b"target_info"), *identity_labels(who)]
                answer.rows.append((arranged(labels), max(out.times), 1.0))
            except Refused as fault:
                answer.refused_rows[fault.reason] = answer.refused_rows.get(fault.reason, 0) + 1
        return points

    def _scope(self, data: bytes, resource: "_Resource", answer: Answer, begun: list[Any], *window: int) -> int:
        found = list(fields(m.ScopeMetrics.DESCRIPTOR, data, ("schema_url",)))
        scope, schema_url, points = b"", "", 0
        for name, value, _ in found:
            scope = value if name == "scope" else scope
            schema_url = value.decode() if name == "schema_url" else schema_url
        for name, value, _ in found:
            if name == "metrics":
                points += self._metric(value, scope, schema_url, resource, answer, begun, *window)
        return points

    def _metric(
        self,
        data: bytes,
        scope: bytes,
        schema_url: str,
        resource: "_Resource",
        answer: Answer,
        begun: Any,
        *window: int,
    ) -> int:
        head = {"name": b"", "description": b"", "unit": b""}
        kind, inner = "", b""
        for name, value, _ in fields(m.Metric.DESCRIPTOR, data, ("name", "description", "unit")):
            if name in head:
                head[name] = value
            elif name != "metadata":
                kind, inner = name, value
        if not kind:
            return 0
        name, unit = head["name"].decode(), head["unit"].decode()
        temporality, monotonic, messages = 0, False, []
        descriptor = m.Metric.DESCRIPTOR.fields_by_name[kind].message_type
        for field_name, value, _ in fields(descriptor, inner):
            if field_name == "data_points":
                messages.append(value)
            elif field_name == "aggregation_temporality":
                temporality = value & 0xFFFFFFFF
            elif field_name == "is_monotonic":
                monotonic = value != 0
        cumulative: bool | None = kind in ("gauge", "summary") or temporality == 2
        if self.adds_up and temporality == 1 and kind in ("sum", "histogram"):
            cumulative = None
        family = metric_name(name, unit, kind, monotonic)
        points, resource.sound = 0, False
        for message in messages:
            terms = (scope, schema_url, resource, answer, begun, *window)
            points += self._point(message, kind, monotonic, cumulative, family, *terms)
        if resource.sound:
            type_ = TYPES.get(kind, "counter" if monotonic else "gauge")
            note = (family, type_, head["description"].decode(), unit_name(unit))
            answer.metadata.append(note)
        return points

    def _point(self, data: bytes, kind: str, monotonic: bool, cumulative: bool | None, family: str, *terms: Any) -> int:
        """One data point. cumulative: None for differences that are added up."""
        scope, schema_url, resource, answer, begun, oldest_ms, newest_ms = terms
        try:
            point, attributes = read_point(kind, data)
        except Refused as fault:
            return refuse(answer, fault.reason, 1)
        if cumulative is False:
            return refuse(answer, "temporality_unsupported", 1)
        parts = parts_of(kind, point, monotonic)
        if isinstance(parts, str):
            return refuse(answer, parts, 1)
        ts_ms, start_ms = point.time_unix_nano // 10**6, point.start_time_unix_nano // 10**6
        if oldest_ms <= ts_ms <= newest_ms:
            resource.times.append(ts_ms)
        rows = []
        for suffix, own, value, counter in parts:
            try:
                labels = attribute_labels(attributes)
                labels += [
                    *scope_labels(scope, schema_url),
                    *own,
                    ("__name__", (family + suffix if family else "").encode()),
                ]
                rows.append((arranged(labels + identity_labels(resource.who)), value, counter))
            except Refused as fault:
                return refuse(answer, fault.reason, len(parts))
        resource.sound = True
        if not oldest_ms <= ts_ms <= newest_ms:
            return refuse(answer, "too_old" if ts_ms < oldest_ms else "too_new", len(parts))
        if cumulative is None and not point.flags & 1:
            start_ms = ts_ms - 1 if not point.start_time_unix_nano or start_ms + 1 >= ts_ms else start_ms + 1
            return self._difference(rows, ts_ms, start_ms, kind == "sum" and monotonic, answer, begun)
        for labels_, value, counter in rows:
            answer.rows.append((labels_, ts_ms, STALE if point.flags & 1 else value))
            if counter and not point.flags & 1 and point.start_time_unix_nano and start_ms < ts_ms:
                begun.append((labels_, start_ms))
        return 1

    def _difference(
        self, rows: list[Any], ts_ms: int, zero_ms: int, grows: bool, answer: Answer, begun: list[Any]
    ) -> int:
        """Add a data point of delta temporality to the answer."""
        if struct.pack("<d", rows[0][1]) == struct.pack("<d", STALE):  # sent as a value
            answer.rows.append((rows[0][0], ts_ms, STALE))
            return 1
        summed = self._added([(labels, value) for labels, value, _ in rows], ts_ms, grows)
        if summed is None:
            return refuse(answer, "temporality_unsupported", len(rows))
        values, begins = summed
        for (labels, _, counter), value in zip(rows, values, strict=True):
            answer.rows.append((labels, ts_ms, value))
            if counter and begins:
                begun.append((labels, zero_ms))
        return 1

    def _added(self, some: list[tuple[Labels, float]], ts_ms: int, grows: bool) -> tuple[list[float], bool] | None:
        """Totals of the series of a data point, and whether they begin; None where they cannot be added up."""
        known = [self.totals[labels] for labels, _ in some if labels in self.totals]
        if any(not math.isfinite(value) or (grows and value < 0) for _, value in some):
            return None
        if any(ts_ms <= last_ms for _, last_ms in known):
            return None
        begins = len(known) < len(some)
        out = []
        for labels, value in some:
            total = (0.0 if begins else self.totals[labels][0]) + value
            self.totals[labels] = (total, ts_ms)
            out.append(total)
        return out, begins


class _Resource:
    def __init__(self, who: dict[str, bytes], attributes: list[bytes], others: bool) -> None:
        self.who, self.attributes, self.others = who, attributes, others
        self.times: list[int] = []
        self.sound = False  # a series of the metric under way is


def resource_fields(data: bytes) -> Iterator[tuple[str, Any, bytes]]:
    """Fields of a Resource; only its attributes are read."""
    for number, wire, value, raw in split(data):
        if number == 1:
            if wire != BYTES:
                raise Refused("wire type")
            yield "attributes", value, raw


def refuse(answer: Answer, reason: str, rows: int) -> int:
    answer.refused[reason] = answer.refused.get(reason, 0) + 1
    answer.refused_rows[reason] = answer.refused_rows.get(reason, 0) + rows
    return 0


# ---- Generator -------------------------------------------------------------------------------------------------------

NOW_NS = 1_758_000_000_777_000_000
NAMES = ("http.server.duration", "jvm_cpu_time", "a", "x.total", "cpu.ratio", "1st", "..", "日本", "q__w", "bytes.read")
KEYS = ("http.method", "http_method", "k", "_p", "1st", "__d", "日本", "le", "job", "a:b", "__name__", "__")
UNIT_NAMES = ("", "s", "ms", "By", "1", "%", "By/s", "{request}", "{x}/s", "foo/bar", " s ", "1/m", "a%b/c%", "total")


def a_value(rng: random.Random, depth: int = 0) -> AnyValue:
    kind = rng.randrange(8 if depth < 3 else 5)
    if kind == 0:
        return AnyValue(bool_value=rng.random() < 0.5)
    if kind == 1:
        return AnyValue(int_value=rng.choice((0, -1, 42, 2**63 - 1, -(2**63))))
    if kind == 2:
        return AnyValue(double_value=a_double(rng))
    if kind == 5:
        value = AnyValue()
        value.array_value.values.extend(a_value(rng, depth + 1) for _ in range(rng.randrange(3)))
        return value
    if kind == 6:
        value = AnyValue()
        for _ in range(rng.randrange(3)):
            value.kvlist_value.values.add(key=rng.choice(("a", 'q"', "ü"))).value.CopyFrom(a_value(rng, depth + 1))
        return value
    if kind == 7:
        return AnyValue(bytes_value=rng.randbytes(rng.randrange(5)))
    if rng.random() < 0.05:
        return AnyValue()
    return AnyValue(string_value=rng.choice(("GET", "", "ü", 'a"b\\\n\x01', "x" * 40)))


def add_attributes(some: Any, rng: random.Random, keys: tuple[str, ...] = KEYS) -> None:
    for _ in range(rng.choice((0, 1, 2, 2, 3))):
        some.add(key=rng.choice(keys)).value.CopyFrom(a_value(rng))


def a_request(rng: random.Random) -> ExportMetricsServiceRequest:
    """Any mixture of all kinds of data, most of it sound."""
    request = ExportMetricsServiceRequest()
    for _ in range(rng.choice((0, 1, 1, 2))):
        resource = request.resource_metrics.add()
        add_attributes(resource.resource.attributes, rng, (*WHO, *WHO, "host.name", "host_name", "os"))
        for _ in range(rng.choice((1, 1, 2))):
            scope = resource.scope_metrics.add()
            if rng.random() < 0.5:
                scope.scope.name, scope.scope.version = rng.choice(("", "lib")), rng.choice(("", "1"))
                add_attributes(scope.scope.attributes, rng, ("name", "x.y"))
                scope.schema_url = rng.choice(("", "http://s"))
            for _ in range(rng.choice((1, 1, 3))):
                a_metric(scope.metrics.add(), rng)
    return request


def a_metric(metric: Any, rng: random.Random) -> None:
    metric.name, metric.unit = rng.choice(NAMES), rng.choice(UNIT_NAMES)
    metric.description = rng.choice(("", "help"))
    kind = rng.choice((*POINTS, "sum", "none"))
    if kind == "none":
        return
    data = getattr(metric, kind)
    data.SetInParent()
    if kind not in ("gauge", "summary"):
        data.aggregation_temporality = rng.choice((2, 2, 2, 1, 1, 1, 0))
    if kind == "sum":
        data.is_monotonic = rng.random() < 0.6
    for _ in range(rng.choice((1, 1, 2, 3))):
        point = data.data_points.add()
        add_attributes(point.attributes, rng)
        point.time_unix_nano = rng.choice((NOW_NS, NOW_NS + 15 * 10**9, 0, 2**64 - 1, NOW_NS - 1))
        point.start_time_unix_nano = rng.choice((0, NOW_NS - 60 * 10**9, NOW_NS - 90 * 10**9, NOW_NS + 10**12))
        point.flags = rng.choice((0, 0, 0, 0, 1, 2))
        fill_point(point, kind, rng)


def fill_point(point: Any, kind: str, rng: random.Random) -> None:
    if kind in ("gauge", "sum"):
        if rng.random() < 0.5:
            point.as_double = a_double(rng)
        elif rng.random() < 0.95:
            point.as_int = rng.choice((0, -5, 2**62 + 1, 7))
        return
    if kind == "summary":
        point.count, point.sum = rng.randrange(9), a_double(rng)
        for _ in range(rng.randrange(3)):
            point.quantile_values.add(quantile=rng.choice((0.5, 0.99, 1.0)), value=a_double(rng))
        return
    if rng.random() < 0.8:
        point.sum = a_double(rng)
    if kind == "histogram":
        bounds = rng.choice(((), (1.0,), (0.005, 0.5, 1e21), (-1.0, 0.0, math.inf), (2.0, 1.0), (math.nan,)))
        point.explicit_bounds.extend(bounds)
        counts = [rng.choice((0, 1, 5, 2**40)) for _ in range(rng.choice((len(bounds) + 1,) * 8 + (0, len(bounds))))]
        point.bucket_counts.extend(counts)
        point.count = sum(counts) if rng.random() < 0.9 else 3
        return
    point.scale = rng.choice((0, 1, 3, 20, -1, -10, -11, 31, 32))
    point.zero_count = rng.choice((0, 2))
    point.zero_threshold = rng.choice((0.0, 0.0, 1e-9, 3.0))
    total = point.zero_count
    for side in (point.positive, point.negative):
        if rng.random() < 0.6:
            side.offset = rng.choice((0, -3, 7, 1000, -1074, 2**31 - 1, -(2**31)))
            side.bucket_counts.extend(rng.choice((0, 0, 1, 300)) for _ in range(rng.choice((1, 4, 160))))
            total += sum(side.bucket_counts)
    point.count = total if rng.random() < 0.9 else 1
