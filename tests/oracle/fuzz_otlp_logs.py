"""The decoder of OTLP logs against its twin, on generated, rearranged and damaged requests.

python tests/oracle/fuzz_otlp_logs.py [COUNT] [SEED]
"""

import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from nissa._fast.batch import Batch
from nissa._fast.otlp_logs import decode_otlp_logs
from nissa._fast.series import SeriesIndex
from nissa.model.errors import Malformed
from oracle.otlp_logs import LogEvent, a_request, expect
from oracle.wire import Refused, damage, rearrange

LOGS = 13
CODECS = (LOGS,)
RECEIVED_MS = 1_758_000_000_999


class Harness:
    """A decoder with its batch, the twin, and the comparison."""

    def __init__(self) -> None:
        self.index, self.batch = SeriesIndex(bytes(range(32))), Batch()
        self.accepted = self.refused = 0

    def compare(self, body: bytes) -> str:
        """Empty where decoder and twin agree on this body; else what differs."""
        try:
            wanted = expect(body, RECEIVED_MS)
        except Refused as reason:
            self.refused += 1
            return self._must_refuse(body, str(reason))
        try:
            metadata, events, ignored = decode_otlp_logs(body, self.index, self.batch, received_ms=RECEIVED_MS)
        except Malformed as error:
            return f"refused ({error}), expected {wanted}"
        self.accepted += 1
        found = events_of(events)
        if found != wanted.events:
            return f"events {found}, expected {wanted.events}"
        refused = (self.batch.refused, self.batch.refused_rows)
        if refused != (wanted.refused, wanted.refused):
            return f"refused {refused}, expected {wanted.refused}"
        whole = len(self.batch) == 0 and self.batch.rows_received == sum(wanted.refused.values())
        return "" if whole and (metadata, ignored) == ([], 0) else "records were lost count of"

    def _must_refuse(self, body: bytes, reason: str) -> str:
        try:
            decode_otlp_logs(body, self.index, self.batch, received_ms=RECEIVED_MS)
        except Malformed:
            return ""
        return f"accepted, expected a refusal: {reason}"


def events_of(events: Any) -> list[LogEvent]:
    """Events as the twin has them."""
    out = []
    for at in range(0 if events is None else len(events)):
        places = range(events.attribute_offsets[at], events.attribute_offsets[at + 1])
        pairs = [(events.attribute_names.text(each), events.attribute_values.text(each)) for each in places]
        row = events.row(at)
        out.append(LogEvent(row["time_ms"], row["level"], row["source"], row["description"], pairs))
    return out


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
