"""The slow twin of ``_fast/rollup`` and ``_fast/sketch``: dictionaries, exact integers, one value at a time."""

import math
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

from oracle.columns import STALE_BITS, Sample, number_of, resolve

Row = dict[str, float]
Windows = dict[tuple[int, int], Row]  # (series, start_ms) -> row
Sketches = dict[tuple[int, int], Counter[tuple[int, int]]]  # (series, start_ms) -> (sign, bucket index) -> values

NUMBERS = ("sum", "min", "max", "first", "last", "m2", "resets", "carry")
SCALE = 2.0**-32
INFINITE_INDEX = 32 * 1024 + 1


def nearest_bound(eighth: int) -> float:
    """2^(eighth / 32), to the nearest float64, by integers: 0 <= eighth < 32."""
    scaled = 1 << (eighth + 32 * 120)
    low, high = 1 << 120, 1 << 121
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**32 <= scaled else (low, middle)
    return float(Fraction(low, 1 << 120))


BOUNDS = [nearest_bound(eighth) for eighth in range(32)]


def bucket_of(value: float) -> tuple[int, int]:
    """(sign, index) of a number; zeros are (0, 0)."""
    if value == 0:
        return 0, 0
    sign = 1 if value > 0 else -1
    if math.isinf(value):
        return sign, INFINITE_INDEX
    fraction, exponent = math.frexp(abs(value))  # in [0.5, 1)
    above = sum(bound < fraction * 2 for bound in BOUNDS)
    return sign, 32 * (exponent - 1) + above


def fallen(before: float, after: float) -> float:
    """The value before a fall of a counter; 0 without a fall."""
    return before if after < before else 0.0


def rounded(number: float, bits_kept: int = 24) -> float:
    """The value rounded to a number of significant bits, half to even."""
    if not math.isfinite(number):
        return number
    less = 53 - bits_kept
    (bits,) = struct.unpack("<Q", struct.pack("<d", number))
    kept, rest = divmod(bits, 1 << less)
    half = 1 << (less - 1)
    kept += rest > half or (rest == half and kept % 2)
    (out,) = struct.unpack("<d", struct.pack("<Q", kept << less))
    return float(out)


def in_order(values: Iterable[float]) -> float:
    """A sum in order, each step rounded; the built-in one compensates."""
    total = 0.0
    for value in values:
        total += value
    return total


def with_carry(values: Iterable[float]) -> tuple[float, float]:
    """The float64 nearest to a sum, and what it lacks: the errors of all steps, exact each, are added up as well."""
    total = errors = 0.0
    for value in values:
        after = total + value
        if math.isfinite(after):
            errors += float(Fraction(total) + Fraction(value) - Fraction(after))
        else:
            errors = math.nan
        total = after
    if not (math.isfinite(total) and math.isfinite(errors) and math.isfinite(total + errors)):
        return math.nan, math.nan
    return total + errors, float(Fraction(total) + Fraction(errors) - Fraction(total + errors))


def scaled(total: float, carry: float) -> Row:
    """Sum and carry of a total that was added up divided by 2^32."""
    if math.isfinite(total / SCALE):
        return {"sum": total / SCALE, "carry": carry / SCALE}
    return {"sum": math.copysign(math.inf, total), "carry": total}


def total_of(values: Sequence[float]) -> Row:
    """Sum and carry of numbers."""
    infinite = {value for value in values if math.isinf(value)}
    if infinite:
        return {"sum": sum(infinite), "carry": 0.0}
    total, carry = with_carry(values)
    if math.isfinite(total):
        return {"sum": total, "carry": rounded(carry, 12)}
    total, carry = with_carry(value * SCALE for value in values)
    return scaled(total, rounded(carry, 12))


def total_of_pair(left: Row, right: Row) -> Row:
    """Sum and carry of two windows together."""
    infinite = [row["sum"] for row in (left, right) if not math.isfinite(row["sum"]) and not row["carry"]]
    if infinite:
        return {"sum": sum(infinite), "carry": 0.0}
    if math.isfinite(left["sum"]) and math.isfinite(right["sum"]):
        total = left["sum"] + right["sum"]
        if math.isfinite(total):
            error = float(Fraction(left["sum"]) + Fraction(right["sum"]) - Fraction(total))
            both, low = with_carry([total, left["carry"] + error + right["carry"]])
            if math.isfinite(both):
                return {"sum": both, "carry": low}
    parts = [row["sum"] * SCALE if math.isfinite(row["sum"]) else row["carry"] for row in (left, right)]
    return scaled(parts[0] + parts[1], 0.0)


def fold_values(values: Sequence[float], nans: int) -> Row:
    """The row of one window's numbers, in order of time."""
    if not values:
        empty = dict.fromkeys(("min", "max", "first", "last"), math.nan)
        return {"count": 0, "nans": nans, "sum": 0.0, "carry": 0.0, **empty, "m2": 0.0, "resets": 0.0}
    row = {"count": len(values), "nans": nans, "min": min(values), "max": max(values), **total_of(values)}
    mean = row["sum"] / len(values)
    squares = in_order((value - mean) * (value - mean) for value in values)
    row |= {"first": values[0], "last": values[-1], "m2": squares}
    row["resets"] = in_order(fallen(before, after) for before, after in pairwise(values))
    row = complete(row)
    return {**row, "m2": rounded(row["m2"])}


def complete(row: Row) -> Row:
    """m2 where it is not what its formula says."""
    if not math.isfinite(row["sum"]):
        row["m2"] = math.nan
    elif row["min"] == row["max"]:
        row["m2"] = 0.0
    return row


def kept(row: Row) -> Row:
    """A window folded from others, with rounded m2 and carry."""
    carry = rounded(row["carry"], 12) if math.isfinite(row["sum"]) else row["carry"]
    return {**row, "m2": rounded(row["m2"]), "carry": carry}


def fold_pair(left: Row, right: Row) -> Row:
    """Two neighbouring windows as one."""
    nans = left["nans"] + right["nans"]
    if not right["count"] or not left["count"]:
        return {**(left if left["count"] else right), "nans": nans}
    count, more = float(left["count"]), float(right["count"])
    apart = right["sum"] / more - left["sum"] / count
    row = {"count": left["count"] + right["count"], "nans": nans, **total_of_pair(left, right)}
    row["m2"] = left["m2"] + right["m2"] + apart * apart * (count * more / (count + more))
    row["resets"] = left["resets"] + fallen(left["last"], right["first"]) + right["resets"]
    row |= {"min": min(left["min"], right["min"]), "max": max(left["max"], right["max"])}
    return complete(row | {"first": left["first"], "last": right["last"]})


def windows_of(samples: list[Sample], interval_ms: int) -> Windows:
    """Windows of samples, in any order, repeated or not."""
    values: dict[tuple[int, int], tuple[list[float], list[int]]] = {}
    for series, ts_ms, bits in resolve(samples)[0]:
        if bits == STALE_BITS:
            continue
        numbers, nans = values.setdefault((series, ts_ms // interval_ms * interval_ms), ([], [0]))
        if math.isnan(number_of(bits)):
            nans[0] += 1
        else:
            numbers.append(number_of(bits))
    return {key: fold_values(numbers, nans[0]) for key, (numbers, nans) in values.items()}


def wider(windows: Windows, interval_ms: int) -> Windows:
    """Windows folded into wider ones."""
    out: Windows = {}
    for (series, start_ms), row in sorted(windows.items()):
        key = (series, start_ms // interval_ms * interval_ms)
        out[key] = fold_pair(out[key], row) if key in out else dict(row)
    return {key: kept(row) for key, row in out.items()}


def sketches_of(samples: list[Sample], interval_ms: int) -> Sketches:
    """Counts by bucket of each window's numbers."""
    out: Sketches = {}
    for series, ts_ms, bits in resolve(samples)[0]:
        if bits != STALE_BITS:
            held = out.setdefault((series, ts_ms // interval_ms * interval_ms), Counter())
            if not math.isnan(number_of(bits)):
                held[bucket_of(number_of(bits))] += 1
    return out


def sketch_bytes(held: Counter[tuple[int, int]]) -> bytes:
    """A sketch as docs/format/ladder.md draws it."""
    sides = [sorted((index, count) for (sign, index), count in held.items() if sign == side) for side in (-1, 1)]
    header = 5 | (0x20 if held[0, 0] else 0) | (0x40 if sides[0] else 0) | (0x80 if sides[1] else 0)
    out = bytes([header]) + (varint(held[0, 0]) if held[0, 0] else b"")
    for buckets in sides:
        if not buckets:
            continue
        first = buckets[0][0]
        out += varint(len(buckets)) + varint(2 * first if first >= 0 else -2 * first - 1)
        expected = first
        for index, count in buckets:
            out += varint((index - expected) << 3 | min(count - 1, 7)) + (varint(count - 8) if count >= 8 else b"")
            expected = index + 1
    return out


def varint(number: int) -> bytes:
    """Base 128, low bits first."""
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def same_bits(left: float, right: float) -> bool:
    """Equal to the last bit; all NaN are one."""
    return (left != left and right != right) or struct.pack("<d", left) == struct.pack("<d", right)
