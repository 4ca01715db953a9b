"""The compiled Leyline decoder against its twin, and against every way to cut a packet."""

import random
from pathlib import Path

import pytest

from oracle import fuzz_wire, leyline
from oracle.wire import rearrange

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
        (b"\x52\x02\x0b\x0c", "group in a metric"),
        (b"\x03\x04", "group in a packet"),
        (b"\x50\x01", "metrics as a varint"),
        (b"\x52\x02\x08\x01", "name as a varint"),
        (b"\x52\x03\x0a\x01\xff", "name that is not UTF-8"),
        (b"\x52\x05\x22\x03\x0a\x01\xff", "attribute that is not UTF-8"),
        (b"\x52\x04\x22\x02\x18\x01", "map entry with a third field"),
        (b"\x12\x0b\x08" + b"\xff" * 9 + b"\x02", "varint of 65 bits"),
        (b"\x12\x0b\x08" + b"\x80" * 10 + b"\x01", "varint of 11 bytes"),
        (b"\x52\xff\xff\xff\xff\x0f", "length of 4 GiB"),
        (b"\xc2\x02\x03\x12\x01\xff", "health summary that is not UTF-8"),
        (b"\xf2\x01\x02\x20\x01", "time of a span as a varint"),
        (b"\x00", "field number 0"),
    ],
)
def test_malformed(body: bytes, why: str) -> None:
    """What the rule of strictness refuses is refused."""
    assert fuzz_wire.Harness().must_refuse(body, leyline.PACKET, False, why) == ""


@pytest.mark.parametrize("seed", range(3))
def test_fuzz(seed: int) -> None:
    """Generated, rearranged and damaged messages of all codecs: decoder and twin agree, at first and second sight."""
    harness = fuzz_wire.run(15_000, seed)
    assert harness.accepted > 4_000
    assert harness.refused > 4_000


@pytest.mark.slow
def test_fuzz_long() -> None:
    """The same on 200,000 messages from a seed of the day, which is printed."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    fuzz_wire.run(200_000, seed)
