"""Decoders of remote write against their twin, on generated, rearranged and damaged messages.

    python tests/oracle/fuzz_remote_write.py [COUNT] [SEED]

Each message is decoded twice, so that both the first sight of a series and its repetition are compared; the terms of
the frame change from message to message.
"""

import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from nissa._fast.batch import Batch
from nissa._fast.remote_write_1 import decode_remote_write_1
from nissa._fast.remote_write_2 import decode_remote_write_2
from nissa._fast.series import SeriesIndex
from nissa._proto.remote_write_v1_pb2 import WriteRequest
from nissa._proto.remote_write_v2_pb2 import Request
from nissa.model.errors import Malformed
from oracle.remote_write import STALE_BITS, Answer, Terms, expect, float_of
from oracle.series import IndexTwin, Limits
from oracle.wire import Refused, a_double, damage, rearrange

SECRET = bytes(range(32))
SERIES_MAX = 3_000
NOW_MS = 1_758_000_000_000
NAMES = ("__name__", "__name__", "__name__", "job", "instance", "le", "ü", "a.b", "")
VALUES = ("up", "requests_total", "api", "db", "", "x" * 40, '{}",=\0\n\x1e', "é", "e\u0301", "\u202e", "日本")
TIMES_MS = (
    0,
    1,
    -1,
    NOW_MS,
    NOW_MS + 1,
    NOW_MS - 1,
    NOW_MS + 123,
    2**63 - 1,
    -(2**63),
    1 << 34,
    (1 << 35) - 1,
    1 << 42,
)
CLASSES = {1: WriteRequest, 2: Request}
TERMS = (
    Terms(),
    Terms(),
    Terms(2, 1),
    Terms(3, 0),
    Terms(oldest_ms=NOW_MS, newest_ms=NOW_MS),
    Terms(4, 2, -5, NOW_MS + 5),
)


def answer(body: bytes, version: int, index: SeriesIndex, batch: Batch, terms: Terms) -> Answer:
    """The result of the compiled decoder for a body, in the form of the twin."""
    decode = decode_remote_write_1 if version == 1 else decode_remote_write_2
    metadata = decode(body, index, batch, **terms._asdict())
    series, ts_ms, value = batch.columns()
    rows = [
        (tuple(index.labels(each)), ts, bits)
        for each, ts, bits in zip(series.tolist(), ts_ms.tolist(), value.view("u8").tolist(), strict=True)
    ]
    notes = [(each.name, each.type, each.help, each.unit) for each in metadata]
    counts = (batch.rows_received, batch.samples, batch.histograms, batch.exemplars, batch.series_new)
    return Answer(rows, batch.refused, batch.refused_rows, *counts, notes)


class Harness:
    """The decoder with its index and batch, the twin with its own, and the comparison."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(labels_max=6, name_bytes_max=20, value_bytes_max=60)
        self.batch = Batch()
        self.accepted = self.refused = 0
        self.renew()

    def renew(self) -> None:
        self.index = SeriesIndex(SECRET, *self.limits)
        self.twin = IndexTwin(self.limits)

    def compare(self, body: bytes, version: int, terms: Terms = TERMS[0]) -> str:
        """Empty where decoder and twin agree on this body; else what differs."""
        if self.index.series_count > SERIES_MAX:
            self.renew()
        expected: Answer | str
        got: Answer | str
        before = self._size()
        try:
            expected = expect(body, version, self.twin, terms)
        except Refused as error:
            expected = str(error)
        try:
            got = answer(body, version, self.index, self.batch, terms)
        except Malformed as error:
            got = str(error)
            if not 0 <= error.offset <= len(body):
                return f"offset {error.offset} of {len(body)} bytes"
        if isinstance(expected, str) or isinstance(got, str):
            self.refused += 1
            if isinstance(expected, str) and isinstance(got, str):
                return "" if self._size() == before and self._empty() else "a refused body left a trace"
            return f"expected {expected}, got {got}"
        self.accepted += 1
        return self._difference(expected, got, version)

    def _difference(self, expected: Answer, got: Answer, version: int) -> str:
        notes = expected.metadata
        if version == 2:  # returned when a raw form is seen for the first time
            expected, got, told = expected._replace(metadata=[]), got._replace(metadata=[]), got.metadata
            if not set(told) <= set(notes):
                return f"metadata: expected some of {notes}, got {told}"
        if expected != got:
            return f"expected {expected}, got {got}"
        if got.received != len(got.rows) + sum(got.refused_rows.values()):
            return "records were lost count of"
        if self._size() != (len(self.twin.series), self.twin.active_count):
            return f"index: {self._size()}"
        return ""

    def _size(self) -> tuple[int, int]:
        return self.index.series_count, self.index.active_count

    def _empty(self) -> bool:
        batch = self.batch
        return not (
            len(batch) or batch.samples or batch.refused or batch.refused_rows or batch.exemplars or batch.rows_received
        )

    def compare_metadata(self, body: bytes) -> str:
        """Check that a new index gets all metadata of a 2.0 body."""
        try:
            expected = expect(body, 2, IndexTwin(self.limits), TERMS[0])
        except Refused:
            return ""
        got = answer(body, 2, SeriesIndex(SECRET, *self.limits), self.batch, TERMS[0])
        return (
            "" if got.metadata == expected.metadata else f"metadata: expected {expected.metadata}, got {got.metadata}"
        )


def generate(version: int, rng: random.Random) -> Any:
    """A message with what real senders send, and with much that they do not."""
    message: Any = CLASSES[version]()
    symbols = ["", *dict.fromkeys([*NAMES[:-1], *VALUES])] if version == 2 else []
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        series = message.timeseries.add()
        pairs = [("__name__", rng.choice(VALUES[:3]))] if rng.random() < 0.8 else []
        pairs += [(rng.choice(NAMES), rng.choice(VALUES)) for _ in range(rng.choice((0, 1, 2, 2, 3, 8)))]
        _add_labels(series, pairs, symbols)
        for _ in range(rng.choice((0, 1, 1, 2))):
            sample = series.samples.add(value=a_double(rng), timestamp=rng.choice(TIMES_MS))
            _maybe_start(sample, version, rng)
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            _fill_histogram(series.histograms.add(), rng)
            _maybe_start(series.histograms[-1], version, rng)
        if rng.random() < 0.1:
            exemplar = series.exemplars.add(value=1.0, timestamp=rng.choice(TIMES_MS))
            _add_labels(exemplar, [("trace_id", "é")] if version == 1 else [("job", "api")], symbols)
        if version == 2 and rng.random() < 0.3:
            series.metadata.type = rng.randrange(10)
            series.metadata.help_ref = rng.randrange(len(symbols))
            series.metadata.unit_ref = rng.choice((0, 1, len(symbols) - 1, len(symbols) - (rng.random() < 0.95)))
    if version == 2:
        message.symbols.extend(symbols if rng.random() < 0.95 else symbols[rng.randrange(3) :])
    elif rng.random() < 0.2:
        message.metadata.add(
            metric_family_name=rng.choice(VALUES), type=rng.randrange(8), help="h", unit=rng.choice(VALUES)
        )
    return message


def _add_labels(target: Any, pairs: list[tuple[str, str]], symbols: list[str]) -> None:
    for name, value in pairs:
        if symbols:
            target.labels_refs.extend((symbols.index(name), symbols.index(value)))
        else:
            target.labels.add(name=name, value=value)


def _maybe_start(timed: Any, version: int, rng: random.Random) -> None:
    if version == 2 and rng.random() < 0.3:
        timed.start_timestamp = rng.choice(TIMES_MS)


def _fill_histogram(histogram: Any, rng: random.Random) -> None:
    """A histogram that is sound in about half of the cases."""
    of_floats = rng.random() < 0.4
    histogram.schema = rng.choice((0, 0, 3, -4, 8, -53, -53, 9, -5, 127, -(2**31)))
    custom = histogram.schema == -53
    total = 0.0
    for positive in (True, False):
        if (custom and not positive and rng.random() < 0.9) or rng.random() < 0.3:
            continue
        counts = [rng.randrange(5) for _ in range(rng.randrange(4))]
        total += _fill_side(histogram, positive, counts, of_floats, rng)
    if custom and rng.random() < 0.9:
        histogram.custom_values.extend(sorted(rng.sample(range(9), rng.randrange(9))))
    elif rng.random() < 0.1:
        histogram.custom_values.extend(rng.choice((1.0, float("inf"), float("nan"))) for _ in range(2))
    zero = rng.choice((0, 0, 0 if custom else 2))
    if rng.random() < 0.1:
        histogram.zero_threshold = 0.5
    if of_floats:
        histogram.count_float = rng.choice((total + zero, 2.5, -1.0, float("nan"), float("inf")))
        histogram.zero_count_float = zero if rng.random() < 0.9 else -1.0
    else:
        off = rng.choice((0, 0, 0, 0, 1, 2**53))
        histogram.count_int = int(total) + zero + off
        histogram.zero_count_int = zero
    histogram.sum = rng.choice((1.5, 1.5, 1.5, -0.0, float("nan"), float_of(STALE_BITS)))
    histogram.timestamp = rng.choice(TIMES_MS)
    histogram.reset_hint = rng.randrange(4)


def _fill_side(histogram: Any, positive: bool, counts: list[int], of_floats: bool, rng: random.Random) -> int:
    """Spans and buckets of one side; returns what the buckets add up to."""
    spans = histogram.positive_spans if positive else histogram.negative_spans
    left = len(counts)
    while left or rng.random() < 0.1:
        length = rng.randrange(left + 1)
        spans.add(offset=rng.choice((0, 0, 1, 2**31 - 1, -1 if spans else -3)), length=length)
        left -= length
    if rng.random() < 0.05:
        spans.add(length=rng.choice((1, 2**32 - 1)))
    if of_floats:
        (histogram.positive_counts if positive else histogram.negative_counts).extend(map(float, counts))
    else:
        steps = [count - before for before, count in zip([0, *counts], counts, strict=False)]
        steps += [rng.choice((-9, 2**63 - 1, -(2**63)))] if rng.random() < 0.05 else []
        (histogram.positive_deltas if positive else histogram.negative_deltas).extend(steps)
    return sum(counts)


def bodies(rng: random.Random) -> tuple[int, list[bytes]]:
    """A version and some bodies made from one message: as it is, rearranged, damaged, cut."""
    version = rng.choice((1, 2))
    plain = generate(version, rng).SerializeToString()
    other = generate(version, rng).SerializeToString()
    mixed = rearrange(CLASSES[version].DESCRIPTOR, plain, rng)
    damaged = [damage(rng.choice((plain, mixed)), other, rng) for _ in range(5)]
    return version, [plain, mixed, *damaged, mixed[: rng.randrange(len(mixed) + 1)]]


def run(count: int, seed: int) -> Harness:
    """Compare ``count`` messages. Raises AssertionError with the seed and the bytes where twin and decoder differ."""
    rng = random.Random(seed)
    harness = Harness()
    compared = 0
    while compared < count:
        version, some = bodies(rng)
        terms = rng.choice(TERMS)
        if rng.random() < 0.01:
            oldest = rng.randrange(1, 5)
            assert harness.index.sweep(oldest) == harness.twin.sweep(oldest)
        for body in some:
            wrong = harness.compare(body, version, terms) or harness.compare(body, version, terms)
            assert not wrong, f"seed {seed}, message {compared}, version {version}, {terms}: {body.hex()}: {wrong}"
            compared += 1
        if version == 2 and rng.random() < 0.2:
            wrong = harness.compare_metadata(some[1])
            assert not wrong, f"seed {seed}, message {compared}: {some[1].hex()}: {wrong}"
    return harness


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    print(f"seed {seed}")
    began = time.perf_counter()
    harness = run(count, seed)
    elapsed = time.perf_counter() - began
    print(
        f"{count} messages: {harness.accepted} decodings accepted, {harness.refused} refused, 0 differ, {elapsed:.1f} s"
    )
