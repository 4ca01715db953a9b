"""Slow obvious twin of the remote write decoders, on Google's own classes.

A body is malformed where the framing of the request is: ``oracle.wire.split`` fails, or a known field has another wire
type than bytes; where it uses the fields of the other version (4 and 5 in 1.0, 1 to 3 in 2.0); in 2.0, where symbols[0]
is not empty. Everything else is accepted or refused record by record:

* a series whose framing breaks: what came before the fault, and one more for what stands behind it;
* a sample, histogram, exemplar or metadata whose bytes are at fault by ``oracle.wire``: that alone;
* a series with a label at fault, for the first fault; in 2.0 with references that have no symbol or are odd in number;
  references that a later one overrides are held to this too.
"""

import struct
from typing import Any, NamedTuple

from nissa._proto import remote_write_v1_pb2, remote_write_v2_pb2
from oracle.native_histogram import is_sound
from oracle.series import LABELS_WIRE_MAX, IndexTwin, Record
from oracle.wire import BYTES, VARINT, Refused, bits_of, parse, read_varint, split

STALE_BITS = 0x7FF0000000000002
TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
SUFFIXES = {
    "histogram": ("_bucket", "_sum", "_count"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}
OTHER_VERSION = {1: (4, 5), 2: (1, 2, 3)}
CLASSES: dict[int, Any] = {1: remote_write_v1_pb2, 2: remote_write_v2_pb2}
HISTOGRAM = {1: 4, 2: 3}  # field numbers of a series
EXEMPLAR = {1: 3, 2: 4}
Pairs = list[tuple[bytes, bytes]]


class Terms(NamedTuple):
    """Terms under which a frame is decoded."""

    minute: int = 1
    admit_max: int = 1 << 40
    oldest_ms: int = -(2**63)
    newest_ms: int = 2**63 - 1


class Answer(NamedTuple):
    """The content required of a batch. rows: (labels, ts_ms, bits of the value)."""

    rows: list[tuple[tuple[tuple[str, str], ...], int, int]]
    refused: dict[str, int]
    refused_rows: dict[str, int]
    received: int
    samples: int
    histograms: int
    exemplars: int
    series_new: int
    metadata: list[tuple[str, str, str, str]]


def expect(body: bytes, version: int, index: IndexTwin, terms: Terms) -> Answer:
    """The answer required of the decoder for ``body``; ``index`` learns its series. Raises: Refused."""
    series_number, other_number = (1, 3) if version == 1 else (5, 4)
    counters = _Tally(terms)
    parts: dict[int, list[bytes]] = {series_number: [], other_number: []}
    for number, wire, value, _ in split(body):
        if number in OTHER_VERSION[version]:
            raise Refused("the other version")
        if number in parts:
            if wire != BYTES:
                raise Refused(f"field {number}: wire type {wire}")
            parts[number].append(value)
    symbols = parts[4] if version == 2 else []
    if symbols and symbols[0]:
        raise Refused("symbols[0]")
    records: list[Record] = []
    notes: list[tuple[Record | None, tuple[str, str, str, str]]] = []
    for data in parts[series_number]:
        notes += _Series(data, version, symbols, counters).into(records)
    if version == 1:
        notes = [(None, note) for note in map(counters.note_1, parts[3]) if note is not None]
    new = index.resolve(records, terms.minute, terms.admit_max)
    rows = counters.complete(records, index) + counters.starts(records, index)
    metadata = [note for carrier, note in notes if note[0] and (carrier is None or carrier.refusal is None)]
    exemplars = sum(record.exemplars for record in records if record.series is not None)
    return Answer(
        rows,
        counters.refused,
        counters.refused_rows,
        counters.received,
        counters.samples,
        counters.histograms,
        exemplars,
        new,
        metadata,
    )


class _Series:
    """One series, field by field in the order of its bytes."""

    def __init__(self, data: bytes, version: int, symbols: list[bytes], counters: "_Tally") -> None:
        self.version = version
        self.symbols = symbols
        self.counters = counters
        self.labels: list[bytes] = []  # of 1.0
        self.refs: list[int] = []
        self.refs_sound = True
        self.floats: list[tuple[int, int]] = []
        self.float_starts: list[int] = []
        self.histogram_starts: list[int] = []
        self.histograms: list[tuple[int, int, int]] = []
        self.exemplars = self.faults = 0
        self.metadata: list[bytes] = []
        self.broken = False
        try:
            for number, wire, value, raw in split(data):
                self._field(number, wire, value, raw)
        except Refused:
            self.broken = True

    def _field(self, number: int, wire: int, value: Any, raw: bytes) -> None:
        if self.version == 2 and number == 1 and wire == VARINT:
            self._add_refs(raw[1:] if raw[0] == 8 else raw[read_varint(raw, 0)[1] :])
            return
        if number > (4 if self.version == 1 else 5):
            return
        if wire != BYTES:
            raise Refused("wire type")
        if number == 1 and self.version == 1:
            self.labels.append(value)
        elif number == 1:
            self._add_refs(value)
        elif number == 2:
            self._part(self._sample, value, 1)
        elif number == HISTOGRAM[self.version]:
            self._part(self._histogram, value, 2)
        elif number == EXEMPLAR[self.version]:
            self._part(self._exemplar, value, 0)
        else:
            self._part(self._metadata, value, 0)

    def _part(self, read: Any, value: bytes, rows: int) -> None:
        """One part of the series; at fault it is refused alone."""
        try:
            read(value)
        except Refused as fault:
            self.counters.part(fault.reason, 1, rows)
            self.faults += rows > 0

    def _sample(self, value: bytes) -> None:
        sample = parse(CLASSES[self.version].Sample, value)
        self.floats.append((sample.timestamp, bits_of(sample.value)))
        if self.version == 2:
            _add_start(self.float_starts, sample)

    def _histogram(self, value: bytes) -> None:
        histogram = parse(CLASSES[self.version].Histogram, value)
        kind = histogram.WhichOneof("count")
        count = float(histogram.count_int if kind == "count_int" else histogram.count_float if kind else 0)
        if not is_sound(histogram):
            raise Refused("buckets", "histogram_invalid")
        total = bits_of(histogram.sum)
        if self.version == 2:
            _add_start(self.histogram_starts, histogram)
        self.histograms.append((histogram.timestamp, total if total == STALE_BITS else bits_of(count), total))

    def _exemplar(self, value: bytes) -> None:
        if self.version == 1:
            parse(remote_write_v1_pb2.Exemplar, value)
        else:
            refs = 0
            for number, wire, field, raw in split(value):
                if number == 1 and wire in (BYTES, VARINT):
                    refs += self._exemplar_refs(field if wire == BYTES else raw[read_varint(raw, 0)[1] :])
                elif number <= 3 and (number, wire) not in ((2, 1), (3, 0)):
                    raise Refused("wire type")
            if refs % 2:
                raise Refused("odd references", "reference_invalid")
        self.exemplars += 1

    def _exemplar_refs(self, packed: bytes) -> int:
        at = count = 0
        while at < len(packed):
            ref, at = read_varint(packed, at)
            self._symbol(ref)
            count += 1
        return count

    def _symbol(self, ref: int) -> str:
        if ref & 0xFFFFFFFF >= len(self.symbols):
            raise Refused("reference", "reference_invalid")
        return _text(self.symbols[ref & 0xFFFFFFFF])

    def _metadata(self, value: bytes) -> None:
        last = {3: 0, 4: 0}
        for number, wire, ref, _ in split(value):
            if number in (1, 3, 4) and wire != VARINT:
                raise Refused("wire type")
            if number in last:
                last[number] = ref & 0xFFFFFFFF
                if last[number] and last[number] >= len(self.symbols):
                    raise Refused("reference", "reference_invalid")
        for ref in last.values():
            if self.symbols:
                _text(self.symbols[ref])
        self.metadata.append(value)

    def _add_refs(self, packed: bytes) -> None:
        at = 0
        try:
            while at < len(packed):
                ref, at = read_varint(packed, at)
                if ref & 0xFFFFFFFF >= len(self.symbols):
                    raise Refused("reference")
                self.refs.append(ref & 0xFFFFFFFF)
        except Refused:
            self.refs_sound = False

    def into(self, records: list[Record]) -> list[tuple[Record, tuple[str, str, str, str]]]:
        """Add the records of this series; returns its metadata with the record it goes with."""
        refusal = self._refusal()
        labels, fault = ([], refusal) if refusal else self._pairs()
        mine = [Record(labels, self.floats, 0, fault)] if self.floats else []
        for record in mine:
            record.starts = self.float_starts
        if refusal:
            nothing = not self.floats and not self.histograms and not self.faults
            more = int(self.broken or nothing)
            self.counters.part(refusal, len(self.histograms) + more, 2 * len(self.histograms) + more)
        elif self.histograms:
            mine.append(
                Record(_suffixed(labels, "_count"), [(ts, count) for ts, count, _ in self.histograms], 1, fault)
            )
            mine.append(Record(_suffixed(labels, "_sum"), [(ts, total) for ts, _, total in self.histograms], 2, fault))
            for record in mine[-2:]:
                record.starts = self.histogram_starts
                long = any(name == "__name__" and len(value.encode()) > 4096 for name, value in record.labels)
                if long and fault is None:
                    record.refusal = "label_too_long"
            if self.version == 2 and self.floats:
                for record in mine:
                    record.refusal = "mixed_series"
        records += mine
        if not mine:
            return []
        mine[0].exemplars = self.exemplars
        return [(mine[0], self._note(labels))] if self.metadata and fault is None else []

    def _refusal(self) -> str | None:
        if self.broken:
            return "record_malformed"
        if self.version == 1:
            return None
        if not self.refs_sound or len(self.refs) % 2:
            return "reference_invalid"
        return None if self.floats or self.histograms or self.faults else "series_empty"

    def _pairs(self) -> tuple[list[tuple[str, str]], str | None]:
        """Labels, and the first fault of them. There are always more than may be where the rest is not looked at."""
        pairs: list[tuple[str, str]] = []
        try:
            if self.version == 1:
                for data in self.labels[: LABELS_WIRE_MAX + 1]:
                    label = parse(remote_write_v1_pb2.Label, data)
                    pairs.append((label.name, label.value))
            else:
                texts = [self.symbols[ref] for ref in self.refs]
                checked = [_text(text) for text in texts[: 2 * LABELS_WIRE_MAX]]
                checked += ["x"] * (len(texts) - len(checked))
                pairs = list(zip(checked[::2], checked[1::2], strict=True))
        except Refused as fault:
            return [], fault.reason
        return pairs, None

    def _note(self, labels: list[tuple[str, str]]) -> tuple[str, str, str, str]:
        metadata = remote_write_v2_pb2.Metadata.FromString(b"".join(self.metadata))
        name = next((value for label, value in reversed(labels) if label == "__name__" and value), "")
        texts = [_text(self.symbols[ref]) if self.symbols else "" for ref in (metadata.help_ref, metadata.unit_ref)]
        type_name = _type(metadata.type)
        if self.floats:
            name = next(
                (name[: -len(end)] for end in SUFFIXES.get(type_name, ()) if name.endswith(end) and name != end), name
            )
        return name, type_name, texts[0], texts[1]


def _add_start(starts: list[int], timed: Any) -> None:
    """When the counter of a sample or histogram began, where it says so and it is not what the one before said."""
    start = timed.start_timestamp
    if start and start < timed.timestamp and start not in starts[-1:]:
        starts.append(start)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused("not UTF-8", "text_not_utf8") from error


def _suffixed(labels: list[tuple[str, str]], suffix: str) -> list[tuple[str, str]]:
    return [(name, value + suffix if name == "__name__" and value else value) for name, value in labels]


class _Tally:
    """Counts of a frame, and which rows stay."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.refused: dict[str, int] = {}
        self.refused_rows: dict[str, int] = {}
        self.received = self.samples = self.histograms = 0

    def refuse(self, reason: str, told: int, rows: int) -> None:
        if told:
            self.refused[reason] = self.refused.get(reason, 0) + told
        if rows:
            self.refused_rows[reason] = self.refused_rows.get(reason, 0) + rows

    def part(self, reason: str, told: int, rows: int) -> None:
        """Something that is refused and is in no record."""
        self.refuse(reason, told, rows)
        self.received += rows

    def note_1(self, data: bytes) -> tuple[str, str, str, str] | None:
        """Metadata of 1.0."""
        try:
            note = parse(remote_write_v1_pb2.MetricMetadata, data)
        except Refused as fault:
            self.part(fault.reason, 1, 0)
            return None
        return note.metric_family_name, _type(note.type), note.help, note.unit

    def complete(self, records: list[Record], index: IndexTwin) -> list[tuple[tuple[tuple[str, str], ...], int, int]]:
        kept = []
        for at, record in enumerate(records):
            self.received += len(record.rows)
            if record.series is None:
                self._refuse_record(record, records[at - 1] if record.kind == 2 else None)
                continue
            for ts_ms, bits in record.rows:
                outside = self._outside(ts_ms)
                if outside:
                    self.refuse(outside, record.kind != 2, 1)
                    continue
                kept.append((index.series[record.series], ts_ms, bits))
                self.samples += record.kind == 0
                self.histograms += record.kind == 1
        return kept

    def starts(self, records: list[Record], index: IndexTwin) -> list[tuple[tuple[tuple[str, str], ...], int, int]]:
        """A row of 0 where the counter of a series began anew."""
        kept = []
        for record in records:
            for start in record.starts:
                if record.series is None or index.starts.get(record.series) == start:
                    continue
                index.starts[record.series] = start
                if not self._outside(start):
                    kept.append((index.series[record.series], start, 0))
        self.received += len(kept)
        return kept

    def _refuse_record(self, record: Record, counts: Record | None) -> None:
        assert record.refusal is not None
        self.refuse(record.refusal, len(record.rows) if record.kind != 2 else 0, len(record.rows))
        if counts is not None and counts.series is not None:  # half a histogram was kept: it is refused all the same
            halves = sum(not self._outside(ts_ms) for ts_ms, _ in record.rows)
            self.histograms -= halves
            self.refuse(record.refusal, halves, 0)

    def _outside(self, ts_ms: int) -> str:
        if ts_ms < self.terms.oldest_ms:
            return "too_old"
        return "too_new" if ts_ms > self.terms.newest_ms else ""


def _type(number: int) -> str:
    return TYPES[number] if 0 <= number < len(TYPES) else "unknown"


def float_of(bits: int) -> float:
    """The double of these bits."""
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])
