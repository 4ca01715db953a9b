"""The compiled Leyline decoder against its twin, and against every way to cut a packet."""

import random
from pathlib import Path

import pytest

from nissa._fast.batch import Batch
from nissa.model.errors import TooLarge
from oracle import fuzz_wire, leyline
from oracle.wire import delimit, rearrange

GOLDENS = Path(__file__).parent.parent / "goldens"


def test_every_prefix_of_a_packet_agrees_with_google() -> None:
    """Cut at any byte, the golden packets are malformed or sound exactly as the twin says."""
    harness = fuzz_wire.Harness()
    for name, codec in (("leyline-packet", leyline.PACKET), ("leyline-bus", leyline.BUS)):
        body = (GOLDENS / f"{name}.bin").read_bytes()
        for size in range(len(body) + 1):
            assert harness.compare(body[:size], codec, False) == ""
            assert harness.compare(body[:size], codec, True) == ""


def test_every_bit_of_a_packet_agrees_with_google() -> None:
    """With any one bit turned, the golden packet is malformed or another packet exactly as the twin says."""
    harness = fuzz_wire.Harness()
    body = bytearray((GOLDENS / "leyline-packet.bin").read_bytes())
    for bit in range(len(body) * 8):
        body[bit // 8] ^= 1 << bit % 8
        assert harness.compare(bytes(body), leyline.PACKET, False) == ""
        body[bit // 8] ^= 1 << bit % 8


def test_rearranged_packets_are_the_same_series() -> None:
    """Another order of fields, longer varints and unknown fields change no identity: no series is added."""
    rng = random.Random(5)
    harness = fuzz_wire.Harness()
    packet = leyline.leyline.TelemetryPacket.FromString((GOLDENS / "leyline-packet.bin").read_bytes())
    packet.metrics[0].attributes["k"] = "v"
    for _ in range(200):
        assert (
            harness.compare(rearrange(packet.DESCRIPTOR, packet.SerializeToString(), rng), leyline.PACKET, False) == ""
        )
        assert harness.index.series_count == 4


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\x03\x04", "group in a packet"),
        (b"\x50\x01", "metrics as a varint"),
        (b"\x12\x0b\x08" + b"\xff" * 9 + b"\x02", "varint of 65 bits"),
        (b"\x12\x0b\x08" + b"\x80" * 10 + b"\x01", "varint of 11 bytes"),
        (b"\x52\xff\xff\xff\xff\x0f", "length of 4 GiB"),
        (b"\x0a\x01\xff", "packet id that is not UTF-8"),
        (b"\x00", "field number 0"),
    ],
)
def test_malformed(body: bytes, why: str) -> None:
    """A packet whose framing or header is at fault is refused: with its body, or alone among others."""
    harness = fuzz_wire.Harness()
    assert harness.must_refuse(body, leyline.PACKET, False, why) == ""
    good = b"\x52\x03\x0a\x01a"
    assert harness.compare(delimit([good, body, good]), leyline.PACKET, True) == ""
    assert (len(harness.batch), sum(harness.batch.refused.values())) == (2, 1)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\x52\x02\x0b\x0c", "record_malformed"),
        (b"\x52\x02\x08\x01", "record_malformed"),
        (b"\x52\x03\x0a\x01\xff", "text_not_utf8"),
        (b"\x52\x05\x22\x03\x0a\x01\xff", "text_not_utf8"),
        (b"\x52\x04\x22\x02\x18\x01", "record_malformed"),
        (b"\xa2\x01\x02\x0a\x02", "record_malformed"),
        (b"\xa2\x01\x05\x22\x03\x0a\x01\xff", "text_not_utf8"),
    ],
)
def test_a_bad_record_costs_itself(record: bytes, reason: str) -> None:
    """A metric or event that is at fault is refused alone, in a packet and in a packet of many."""
    harness = fuzz_wire.Harness()
    packet = b"\x52\x03\x0a\x01a" + record + b"\xa2\x01\x03\x0a\x01e"
    assert harness.compare(packet, leyline.PACKET, False) == ""
    assert (len(harness.batch), harness.batch.events, harness.batch.refused) == (1, 1, {reason: 1})
    assert harness.compare(delimit([packet, packet]), leyline.PACKET, True) == ""
    assert (len(harness.batch), harness.batch.events, harness.batch.refused) == (2, 2, {reason: 2})


@pytest.mark.parametrize("body", [b"\xc2\x02\x03\x12\x01\xff", b"\xf2\x01\x02\x20\x01"])
def test_what_is_not_kept_is_not_looked_into(body: bytes) -> None:
    """Spans and health of a packet are not kept, and a fault in them costs nothing."""
    harness = fuzz_wire.Harness()
    assert harness.compare(body + b"\x52\x03\x0a\x01a", leyline.PACKET, False) == ""
    assert (len(harness.batch), harness.batch.refused) == (1, {})


def test_messages_of_one_body_have_a_maximum() -> None:
    """Empty messages count against the limit of a frame like those that hold something."""
    harness = fuzz_wire.Harness()
    harness.batch = Batch(records_max=1_000)
    with pytest.raises(TooLarge, match="messages in one frame: 1001 is over the limit"):
        harness.decode(bytes(1_001), leyline.PACKET, True)


@pytest.mark.long
def test_fuzz() -> None:
    """Generated, rearranged and damaged messages of all codecs: decoder and twin agree, at first and second sight."""
    harness = fuzz_wire.run(6_000, 0)
    assert harness.accepted > 1_600
    assert harness.refused > 1_600


@pytest.mark.slow
def test_fuzz_long() -> None:
    """The same on 15,000 messages from a seed of the day, which is printed."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    fuzz_wire.run(15_000, seed)
