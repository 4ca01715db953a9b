"""Duplicate packets of decoded frames, compared with dictionaries; and the dedup keys of packets."""

import random

import numpy as np
import pytest

from nissa._fast.batch import Batch
from nissa._fast.dedup_keys import dedup_message, dedup_packets, key_of_request
from nissa._fast.packets import decode_packets
from nissa._fast.series import SeriesIndex
from nissa._fast.ttl import TtlMap
from nissa.model.frame import Codec
from oracle.keyed_hash import fingerprint, fold, secret_words
from oracle.packet_frames import Memory, Sent, delimited

SECRET = bytes(range(32))
NOW_MS = 1_758_000_000_000
OLD_MS = 1
TTL_MS = (100, 200, 400)


def decode(batch: Batch, index: SeriesIndex, packets: list[Sent]) -> int:
    """A run of packets into the batch; returns how many events they have."""
    terms = {"minute": 1, "admit_max": 1_000, "oldest_ms": NOW_MS - 1_000, "newest_ms": NOW_MS + 1_000}
    body = delimited(packet.to_bytes() for packet in packets)
    _, events, _ = decode_packets(body, Codec.NISSA_PACKET, index, batch, delimited=True, received_ms=NOW_MS, **terms)
    return 0 if events is None else len(events)


def drawn(rng: random.Random, number: int) -> Sent:
    """A packet of few ids; points have the number of the packet as their value, and may be too old."""
    points = [(f"m{n}", rng.choice((NOW_MS, OLD_MS)), float(number)) for n in range(rng.randrange(4))]
    events = [f"{number}" for _ in range(rng.randrange(3))]
    named = rng.random()
    return Sent(
        rng.choice("ab"),
        rng.choice(("", "p1", "p2")) if named < 0.6 else "",
        rng.randrange(2),
        rng.choice(("r1", "r2")) if named > 0.4 else "",
        tuple(points),
        tuple(events),
    )


@pytest.mark.parametrize("seed", range(5))
def test_claims_are_those_of_the_twin(seed: int) -> None:
    """Rows and events of known packets leave, others stay in their order; what brought nothing is not remembered."""
    rng = random.Random(seed)
    print(f"seed {seed}")
    batch, index = Batch(), SeriesIndex(SECRET)
    maps = [TtlMap(10_000) for _ in TTL_MS]
    memory = Memory({"event": TTL_MS[0], "metric": TTL_MS[1]})
    for lsn in range(1, 400):
        memory.now_ms += rng.choice((0, 0, 1, 30))
        packets = [drawn(rng, number) for number in range(rng.randrange(1, 8))]
        count = decode(batch, index, packets)
        kept = [[value for _, ts_ms, value in packet.points if ts_ms == NOW_MS] for packet in packets]
        new = []
        for packet, values in zip(packets, kept, strict=True):
            before = dict(memory.known)
            new.append(memory.is_new(packet))
            if not values and not packet.events:
                memory.known = before
                new[-1] = new[-1] or not packet.points
        rows_before = len(batch)
        marks = dedup_packets(batch, *maps, lsn, memory.now_ms, *TTL_MS)
        assert (marks is None) is all(new)
        assert batch.columns()[2].tolist() == [
            v for values, is_new in zip(kept, new, strict=True) if is_new for v in values
        ]
        assert batch.duplicate_rows == rows_before - len(batch)
        wanted = [int(not is_new) for packet, is_new in zip(packets, new, strict=True) for _ in packet.events]
        assert ([0] * count if marks is None else marks.tolist()) == wanted
        for epoch in range(2):
            for request in ("r1", "r2"):
                key = key_of_request(index, epoch, request.encode())
                for kind, held in zip(("event", "metric"), maps, strict=False):
                    assert (held.get(*key, memory.now_ms) is not None) is memory.knows_request(kind, epoch, request)


def test_points_and_events_have_requests_of_their_own() -> None:
    """Inside packets and alone they are remembered, runs of one request once, and those of known packets are not."""
    from nissa._proto import telemetry_pb2

    batch, index = Batch(), SeriesIndex(SECRET)
    maps = [TtlMap(100) for _ in TTL_MS]

    def take(lsn: int, message: bytes, codec: Codec = Codec.NISSA_PACKET) -> int:
        terms = {"minute": 1, "admit_max": 1_000, "oldest_ms": 0, "newest_ms": 2**60}
        decode_packets(message, codec, index, batch, delimited=False, received_ms=NOW_MS, **terms)
        dedup_packets(batch, *maps, lsn, 0, *TTL_MS)
        return batch.claim_count

    def known(request_id: str) -> list[int]:
        key = key_of_request(index, 5, request_id.encode())
        return [0 if (found := held.get(*key, 0)) is None else found[0] for held in maps]

    packet = telemetry_pb2.TelemetryPacket(packet_id="p", source="s")
    for request_id in ("a", "a", "a", "b", ""):
        packet.points.add(name="m", epoch=5, request_id=request_id)
    packet.events.add(description="d", epoch=5, request_id="c")
    assert take(1, packet.SerializeToString()) == 4
    assert [known(name) for name in "abc"] == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    packet.points.add(name="m", epoch=5, request_id="d")
    take(2, packet.SerializeToString())
    assert known("d") == [0, 0, 0]
    assert len(batch) == 0
    for lsn in (3, 4):
        take(lsn, telemetry_pb2.MetricPoint(name="m", epoch=5, request_id="e").SerializeToString(), Codec.NISSA_POINT)
        assert len(batch) == 1
        take(lsn, telemetry_pb2.TelemetryEvent(epoch=5, request_id="f").SerializeToString(), Codec.NISSA_EVENT)
    assert [known(name) for name in "ef"] == [[0, 3, 0], [3, 0, 0]]


def test_keys_are_keyed_hashes_of_their_parts() -> None:
    """A request's key is that of the twin; other epochs, ids and secrets give other keys."""
    index = SeriesIndex(SECRET)
    words = secret_words(SECRET)
    low, high = fingerprint(words, (7).to_bytes(8, "little"), 0x43)
    id_low, id_high = fingerprint(words, b"r", 0x44)
    assert key_of_request(index, 7, b"r") == (
        fold(low ^ id_low, words[4] ^ id_high),
        fold(high ^ id_high, words[5] ^ id_low),
    )
    made = {key_of_request(index, epoch, name) for epoch in (0, 7, 2**64 - 1) for name in (b"", b"r", b"rr")}
    assert len(made | {key_of_request(SeriesIndex(bytes(32)), 7, b"r")}) == 10


def test_messages_are_claimed_one_by_one() -> None:
    """Messages of a slow path: the same id from another source is another message; one without an id is always new."""
    batch, index = Batch(), SeriesIndex(SECRET)
    maps = [TtlMap(100) for _ in TTL_MS]
    batch.clear(5)
    for event, (source, name) in enumerate([(b"s", b"x"), (b"t", b"x"), (b"s", b"x"), (b"s", b""), (b"s", b"")]):
        dedup_message(batch, index, event, alert=True, source=source, packet_id=name, epoch=1, request_id=b"r")
    marks = dedup_packets(batch, *maps, 9, 0, *TTL_MS)
    assert marks is not None
    assert marks.tolist() == [0, 0, 1, 0, 0]
    assert [held.count for held in maps] == [0, 0, 3]
    assert np.array_equal(maps[2].freeze().columns()[1], np.full(3, 9, np.uint64))
