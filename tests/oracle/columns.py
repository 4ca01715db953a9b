"""The slow, obvious twin of ``_fast/columns`` and ``_fast/selection``: dictionaries, one sample at a time."""

import struct

STALE_BITS = 0x7FF0000000000002

Sample = tuple[int, int, int]  # series, ts_ms, bits of the value


def bits_of(value: float) -> int:
    """The bits of a float64."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def number_of(bits: int) -> float:
    """The float64 of these bits."""
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def rank(bits: int) -> tuple[int, float, int]:
    """Sorts values by who is kept: the largest."""
    number = number_of(bits)
    if bits == STALE_BITS:
        return 0, 0.0, 0
    if number != number:
        return 1, 0.0, bits
    return 2, number, 0 if bits >> 63 else 1


def resolve(samples: list[Sample]) -> tuple[list[Sample], dict[int, bool]]:
    """The samples kept, sorted, and {row dropped: whether its bits differ from those kept}."""
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, (series, ts_ms, bits) in enumerate(samples):
        groups.setdefault((series, ts_ms), []).append((row, bits))
    kept, dropped = [], {}
    for (series, ts_ms), rows in sorted(groups.items()):
        winner, winner_bits = max(rows, key=lambda item: (rank(item[1]), -item[0]))
        kept.append((series, ts_ms, winner_bits))
        dropped.update({row: bits != winner_bits for row, bits in rows if row != winner})
    return kept, dropped


def select(samples: list[Sample], wanted: set[int], start_ms: int, end_ms: int) -> list[Sample]:
    """The samples of wanted series in [start_ms, end_ms), in their order."""
    return [sample for sample in samples if sample[0] in wanted and start_ms <= sample[1] < end_ms]
