"""The OTLP decoder against its twin, on generated, rearranged and damaged requests.

    python tests/oracle/fuzz_otlp.py [COUNT] [SEED]

Each body is decoded twice, so that both the first sight of a series and its repetition are compared.
"""

import random
import struct
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from nissa._fast.batch import Batch
from nissa._fast.delta_totals import DeltaTotals
from nissa._fast.otlp_metrics import decode_otlp_metrics
from nissa._fast.series import SeriesIndex
from nissa.model.errors import Malformed
from oracle.otlp import NOW_NS, Answer, Twin, a_request
from oracle.wire import Refused, damage, rearrange

METRICS = 12
CODECS = (METRICS,)
SECRET = bytes(range(32))
SERIES_MAX = 20_000
WINDOW = (NOW_NS // 10**6 - 100_000, NOW_NS // 10**6 + 10_000)


class Harness:
    """A decoder with its index and batch, the twin, and the comparison."""

    def __init__(self) -> None:
        self.batch = Batch()
        self.accepted = self.refused = 0
        self._begin()

    def _begin(self) -> None:
        self.index, self.twin, self.deltas = SeriesIndex(SECRET), Twin(), DeltaTotals()

    def compare(self, body: bytes, window: tuple[int, int] = WINDOW) -> str:
        """Empty where decoder and twin agree on this body; else what differs."""
        if self.index.series_count > SERIES_MAX:
            self._begin()
        for sight in ("first", "second"):
            try:
                wanted = self.twin.expect(body, *window)
            except Refused as reason:
                self.refused += 1
                return self._must_refuse(body, window, str(reason))
            try:
                metadata = self._decode(body, window)
            except Malformed as error:
                return f"{sight} sight: refused ({error}), expected {wanted}"
            difference = self._difference(wanted, metadata, first=sight == "first")
            if difference:
                return f"{sight} sight: {difference}"
        self.accepted += 1
        return ""

    def _decode(self, body: bytes, window: tuple[int, int]) -> list[Any]:
        terms: dict[str, Any] = {"minute": 1, "admit_max": 1 << 30, "oldest_ms": window[0], "newest_ms": window[1]}
        return decode_otlp_metrics(body, self.index, self.batch, **terms, deltas=self.deltas)

    def _must_refuse(self, body: bytes, window: tuple[int, int], reason: str) -> str:
        before = self.index.series_count
        try:
            self._decode(body, window)
        except Malformed:
            return "" if self.index.series_count == before and len(self.batch) == 0 else "a refused body left something"
        return f"accepted, expected a refusal: {reason}"

    def _difference(self, wanted: Answer, metadata: list[Any], *, first: bool) -> str:
        batch = self.batch
        rows = [
            (tuple(self.index.labels(series)), ts_ms, bits(value))
            for series, ts_ms, value in zip(*(column.tolist() for column in batch.columns()), strict=True)
        ]
        expected = [(labels, ts_ms, bits(value)) for labels, ts_ms, value in wanted.rows]
        if rows != expected:
            pairs = enumerate(zip_longest(rows, expected))
            place, (got, twin) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
            return f"row {place} {got}, expected {twin}"
        counts = (batch.refused, batch.refused_rows, batch.samples)
        if counts != (wanted.refused, wanted.refused_rows, wanted.points):
            return f"counts {counts}, expected {(wanted.refused, wanted.refused_rows, wanted.points)}"
        if batch.rows_received != len(batch) + sum(batch.refused_rows.values()):
            return "records were lost count of"
        notes = {(each.name, each.type, each.help, each.unit) for each in metadata}
        if first and not {note for note in wanted.metadata if note[0]} >= notes:
            return f"metadata {notes}, expected {wanted.metadata}"
        return ""


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def main(count: int, seed: int) -> None:
    rng = random.Random(seed)
    harness = Harness()
    for number in range(count):
        message = a_request(rng)
        body = message.SerializeToString()
        if rng.random() < 0.5:
            body = rearrange(message.DESCRIPTOR, body, rng)
        if rng.random() < 0.5:
            body = damage(body, a_request(rng).SerializeToString(), rng)
        difference = harness.compare(body)
        if difference:
            raise SystemExit(f"seed {seed}, body {number}: {body.hex()}\n{difference}")
    print(f"seed {seed}: {harness.accepted} accepted, {harness.refused} refused, differences 0")


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["10000"])[0]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30))
