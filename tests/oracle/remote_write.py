"""Slow obvious twin of the remote write decoders, on Google's own classes.

A body is malformed where ``oracle.wire`` says so, and beside that: where it uses the fields of the other version (4 and
5 in 1.0, 1 to 3 in 2.0); in 2.0, where symbols[0] is not empty, a reference has no symbol, or the references of labels
are odd in number; references that a later one overrides are held to this too.
Everything else is accepted, record by record.
"""

import struct
from typing import Any, NamedTuple

from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa._proto.remote_write_v2_pb2 import Request
from oracle.series import IndexTwin, Record
from oracle.wire import Refused, bits_of, parse, split

STALE_BITS = 0x7FF0000000000002
TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
OTHER_VERSION = {1: (4, 5), 2: (1, 2, 3)}


class Terms(NamedTuple):
    """Under which a frame is decoded."""

    minute: int = 1
    admit_max: int = 1 << 40
    oldest_ms: int = -(2**63)
    newest_ms: int = 2**63 - 1


class Answer(NamedTuple):
    """What a batch must hold. rows: (labels, ts_ms, bits of the value)."""

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
    """What decoding ``body`` must come to; ``index`` learns its series. Raises: Refused."""
    message = parse(WriteRequest if version == 1 else Request, body)
    for number, *_ in split(body):
        if number in OTHER_VERSION[version]:
            raise Refused("the other version")
    tally = _Tally(terms)
    records: list[Record] = []
    notes: list[tuple[Record | None, tuple[str, str, str, str]]] = []
    symbols = [] if version == 1 else _symbols(message, body)
    for series in message.timeseries:
        labels = _labels_1(series) if version == 1 else _labels_2(series.labels_refs, symbols)
        carrier = _add_series(labels, series, version, records, tally)
        if version == 2 and series.HasField("metadata"):
            notes.append((carrier, _note_2(labels, series.metadata, symbols)))
    if version == 1:
        notes = [(None, (each.metric_family_name, _type(each.type), each.help, each.unit)) for each in message.metadata]
    new = index.resolve(records, terms.minute, terms.admit_max)
    rows = tally.settle(records, index)
    metadata = [note for carrier, note in notes if note[0] and (carrier is None or carrier.refusal is None)]
    exemplars = sum(len(series.exemplars) for series in message.timeseries)
    refused = {reason: count for reason, count in tally.refused.items() if count}
    return Answer(
        rows, refused, tally.refused_rows, tally.received, tally.samples, tally.histograms, exemplars, new, metadata
    )


def _add_series(
    labels: list[tuple[str, str]], series: Any, version: int, records: list[Record], tally: "_Tally"
) -> Record:
    """The records of one series: floats; counts and sums of histograms. Returns the one its metadata goes with."""
    floats = [(sample.timestamp, bits_of(sample.value)) for sample in series.samples]
    first = Record(labels, floats)
    histograms = [each for each in map(_histogram, series.histograms) if each is not None]
    invalid = len(series.histograms) - len(histograms)
    tally.refuse("histogram_invalid", invalid, 2 * invalid)
    mine = [first] if floats or not series.histograms else []
    if series.histograms:
        mine.append(Record(_suffixed(labels, "_count"), [(ts_ms, count) for ts_ms, count, _ in histograms], 1))
        mine.append(Record(_suffixed(labels, "_sum"), [(ts_ms, total) for ts_ms, _, total in histograms], 2))
        for record in mine[-2:]:
            if any(name == "__name__" and len(value.encode()) > 4096 for name, value in record.labels):
                record.refusal = "label_too_long"
    if version == 2 and floats and series.histograms:
        for record in mine:
            record.refusal = "mixed_series"
    records += mine
    return mine[0]


def _histogram(histogram: Any) -> tuple[int, int, int] | None:
    """Time, count and sum, or None where it is invalid."""
    total = bits_of(histogram.sum)
    if total == STALE_BITS:
        return histogram.timestamp, total, total
    kind = histogram.WhichOneof("count")
    count = float(histogram.count_int if kind == "count_int" else histogram.count_float if kind else 0)
    if not count >= 0 or not (-4 <= histogram.schema <= 8 or histogram.schema == -53):
        return None
    return histogram.timestamp, bits_of(count), total


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
            if reason == "histogram_invalid":
                self.received += rows

    def settle(self, records: list[Record], index: IndexTwin) -> list[tuple[tuple[tuple[str, str], ...], int, int]]:
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

    def _refuse_record(self, record: Record, counts: Record | None) -> None:
        if not record.rows:
            return
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


def _labels_1(series: Any) -> list[tuple[str, str]]:
    return [(label.name, label.value) for label in series.labels]


def _symbols(message: Any, body: bytes) -> list[str]:
    symbols = list(message.symbols)
    if symbols and symbols[0]:
        raise Refused("symbols[0]")
    metadata = [part for each in _fields(body, 5) for part in _fields(each, 5)]
    for ref in (ref & 0xFFFFFFFF for part in metadata for number in (3, 4) for ref in _fields(part, number)):
        if ref and ref >= len(symbols):
            raise Refused("references of metadata")
    for series in message.timeseries:
        for exemplar in series.exemplars:
            _labels_2(exemplar.labels_refs, symbols)
    return symbols


def _fields(message: bytes, wanted: int) -> list[Any]:
    return [value for number, _, value, _ in split(message) if number == wanted]


def _labels_2(refs: Any, symbols: list[str]) -> list[tuple[str, str]]:
    if len(refs) % 2 or any(ref >= len(symbols) for ref in refs):
        raise Refused("references")
    texts = [symbols[ref] for ref in refs]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _note_2(labels: list[tuple[str, str]], metadata: Any, symbols: list[str]) -> tuple[str, str, str, str]:
    name = next((value for label, value in labels if label == "__name__" and value), "")
    texts = [symbols[ref] if symbols else "" for ref in (metadata.help_ref, metadata.unit_ref)]
    return name, _type(metadata.type), texts[0], texts[1]


def _type(number: int) -> str:
    return TYPES[number] if 0 <= number < len(TYPES) else "unknown"


def float_of(bits: int) -> float:
    """The double of these bits."""
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])
