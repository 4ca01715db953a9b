"""The compiled decoder of nissa.v2 packets, points and events against its twin."""

from pathlib import Path

from oracle import fuzz_wire, packets

GOLDENS = Path(__file__).parent.parent / "goldens"


def test_every_prefix_agrees_with_google() -> None:
    """Cut at any byte, the golden packet is malformed or sound exactly as the twin says."""
    harness = fuzz_wire.Harness()
    body = (GOLDENS / "nissa-packet.bin").read_bytes()
    for size in range(len(body) + 1):
        assert harness.compare(body[:size], packets.PACKET, False) == ""


def test_every_bit_agrees_with_google() -> None:
    """With any one bit turned, the golden packet is malformed or another packet exactly as the twin says."""
    harness = fuzz_wire.Harness()
    body = bytearray((GOLDENS / "nissa-packet.bin").read_bytes())
    for bit in range(len(body) * 8):
        body[bit // 8] ^= 1 << bit % 8
        assert harness.compare(bytes(body), packets.PACKET, False) == ""
        body[bit // 8] ^= 1 << bit % 8
