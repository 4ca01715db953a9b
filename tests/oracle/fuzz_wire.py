"""Decoders of packets against their twins, on generated, rearranged and damaged messages.

    python tests/oracle/fuzz_wire.py [COUNT] [SEED]

Each message is decoded twice, so that both the first sight of a series and its repetition are compared.
"""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from nissa._fast.batch import Batch
from nissa._fast.leyline import decode_leyline
from nissa._fast.packets import decode_packets
from nissa._fast.sample_columns import decode_sample_columns
from nissa._fast.series import SeriesIndex
from nissa.model.errors import Malformed
from oracle import leyline, packets
from oracle.expected import agree, got
from oracle.wire import Refused, damage, delimit, rearrange

CODECS = (leyline.BUS, leyline.EVENT, leyline.PACKET, packets.PACKET, packets.COLUMNS, packets.POINT, packets.EVENT)
RECEIVED_MS = 1_758_000_000_777
SERIES_MAX = 20_000


class Harness:
    """A decoder of any codec with its index and batch, and the comparison."""

    def __init__(self) -> None:
        self.index = SeriesIndex(bytes(range(32)))
        self.batch = Batch()
        self.accepted = 0
        self.refused = 0

    def decode(self, body: bytes, codec: int, delimited: bool) -> Any:
        terms: dict[str, Any] = {
            "delimited": delimited,
            "received_ms": RECEIVED_MS,
            "minute": 1,
            "admit_max": 1 << 30,
            "oldest_ms": -(2**63),
            "newest_ms": 2**63 - 1,
        }
        if codec == packets.COLUMNS:
            return decode_sample_columns(body, self.index, self.batch, **terms)
        decoder: Callable[..., Any] = decode_leyline if codec <= leyline.PACKET else decode_packets
        return decoder(body, codec, self.index, self.batch, **terms)

    def compare(self, body: bytes, codec: int, delimited: bool) -> str:
        """Empty where decoder and twin agree on this body; else what differs."""
        twin = leyline.expect if codec <= leyline.PACKET else packets.expect
        if self.index.series_count > SERIES_MAX:
            self.index = SeriesIndex(bytes(range(32)))
        try:
            expected = twin(body, codec, delimited, RECEIVED_MS)
        except Refused as reason:
            self.refused += 1
            return self.must_refuse(body, codec, delimited, str(reason))
        self.accepted += 1
        for sight in ("first", "second"):
            try:
                _, events, ignored = self.decode(body, codec, delimited)
            except Malformed as error:
                return f"{sight} sight: refused ({error}), expected {expected}"
            difference = agree(expected, got(self.batch, self.index, events, ignored))
            if difference:
                return f"{sight} sight: {difference}"
            if self.batch.rows_received != len(self.batch) + sum(self.batch.refused_rows.values()):
                return f"{sight} sight: records were lost count of"
        return ""

    def must_refuse(self, body: bytes, codec: int, delimited: bool, reason: str) -> str:
        before = self.index.series_count
        try:
            self.decode(body, codec, delimited)
        except Malformed as error:
            if not 0 <= error.offset <= len(body):
                return f"offset {error.offset} of {len(body)} bytes"
            if self.index.series_count != before:
                return "a malformed message registered series"
            return "" if len(self.batch) == 0 else "a malformed message left rows"
        return f"accepted, expected malformed: {reason}"


def a_body(codec: int, rng: random.Random) -> tuple[bytes, bool]:
    """(body, delimited): sound in half of the cases, about."""
    twin = leyline if codec <= leyline.PACKET else packets
    delimited = rng.random() < 0.15
    bodies = []
    for _ in range(rng.randrange(4) if delimited else 1):
        message = twin.a_message(codec, rng)
        body = message.SerializeToString()
        if rng.random() < 0.4:
            body = rearrange(message.DESCRIPTOR, body, rng)
        bodies.append(body)
    body = delimit(bodies) if delimited else bodies[0]
    if rng.random() < 0.6:
        body = damage(body, twin.a_message(codec, rng).SerializeToString(), rng)
    return body, delimited


def run(count: int, seed: int) -> Harness:
    """Compare ``count`` messages. Raises: AssertionError with seed, codec and bytes at the first difference."""
    rng = random.Random(seed)
    harness = Harness()
    for number in range(count):
        codec = CODECS[number % len(CODECS)]
        body, delimited = a_body(codec, rng)
        difference = harness.compare(body, codec, delimited)
        if difference:
            where = f"seed {seed}, message {number}, codec {codec}, delimited {delimited}"
            raise AssertionError(f"{where}, {body.hex()}: {difference}")
    return harness


if __name__ == "__main__":
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    started = time.monotonic()
    done = run(messages, chosen)
    seconds = time.monotonic() - started
    print(f"seed {chosen}: {done.accepted} accepted and {done.refused} refused alike, {seconds:.0f} s")
