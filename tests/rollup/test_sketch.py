"""``_fast/sketch`` against exact arithmetic, numpy's quantiles and hostile bytes."""

import io
import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa._fast.sketch import Sketch, bucket_indexes, check_sketches, quantiles_of
from nissa.model.errors import Malformed
from oracle.ladder import BOUNDS, bucket_of, sketch_bytes

RELATIVE_ERROR_MAX = 0.011
NUMBERS = st.floats(allow_nan=False, allow_infinity=True, allow_subnormal=True)
NORMAL = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


def sketch_of(values: list[float]) -> Sketch:
    """A sketch of values."""
    sketch = Sketch()
    sketch.add(np.array(values, np.float64))
    return sketch


def column(sketches: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Sketches as offsets and data."""
    offsets = np.cumsum([0, *map(len, sketches)]).astype(np.int32)
    return offsets, np.frombuffer(b"".join(sketches), np.uint8)


def held_in(values: list[float]) -> Counter[tuple[int, int]]:
    """Counts by bucket, as the twin has them."""
    return Counter(bucket_of(value) for value in values)


def test_bounds_belong_to_the_bucket_below_them() -> None:
    """At every bound of every octave the bound itself lies below, the next number above."""
    bounds = np.array([math.ldexp(bound, octave) for octave in range(-1022, 1024) for bound in BOUNDS])
    expected = 32 * np.repeat(np.arange(-1022, 1024), 32) + np.tile(np.arange(32), 2046)
    assert np.array_equal(bucket_indexes(bounds), expected)
    assert np.array_equal(bucket_indexes(np.nextafter(bounds, np.inf)), expected + 1)
    assert np.array_equal(bucket_indexes(-np.nextafter(bounds, 0.0))[1:], expected[1:])


@settings(max_examples=250, deadline=None)
@given(st.lists(NUMBERS, max_size=40))
def test_every_number_has_the_bucket_of_the_twin(values: list[float]) -> None:
    """Subnormals, infinities and zeros included."""
    got = bucket_indexes(np.array(values, np.float64)).tolist()
    assert got == [bucket_of(value)[1] if value else -(2**31) for value in values]


@settings(max_examples=250, deadline=None)
@given(st.lists(st.one_of(NUMBERS, st.sampled_from([0.0, -0.0, 1.0, 1.01, -7.0])), max_size=80))
def test_bytes_are_those_of_the_twin_and_read_back(values: list[float]) -> None:
    """Writing is canonical: a sketch that was read writes the same bytes again."""
    data = sketch_of(values).to_bytes()
    assert data == sketch_bytes(held_in(values))
    again = Sketch()
    again.merge(*column([data]))
    assert (again.count, again.to_bytes()) == (len(values), data)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(NUMBERS, max_size=30), max_size=6), st.randoms(use_true_random=False))
def test_merging_in_any_order_is_counting_everything(parts: list[list[float]], chance: random.Random) -> None:
    """Merges are exact, associative and commutative."""
    pieces = [sketch_of(part).to_bytes() for part in parts]
    chance.shuffle(pieces)
    merged = Sketch()
    merged.merge(*column(pieces))
    assert merged.to_bytes() == sketch_of([value for part in parts for value in part]).to_bytes()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(NORMAL.filter(bool), min_size=1, max_size=60),
    st.sampled_from([-1, 1]),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
    st.booleans(),
)
def test_quantiles_are_within_the_promised_error(
    numbers: list[float], sign: int, probabilities: list[float], known: bool
) -> None:
    """With values of one sign, quantiles are compared with linear interpolation, as in PromQL and numpy."""
    values = [sign * abs(number) for number in numbers]
    asked = np.array(probabilities)
    ends = (min(values), max(values)) if known else (math.nan, math.nan)
    got = sketch_of(values).quantiles(asked, *ends)
    ordered = sorted(values)
    for probability, quantile in zip(probabilities, got.tolist(), strict=True):
        rank = probability * (len(values) - 1)
        low = math.floor(rank)
        high = min(low + 1, len(values) - 1)
        expected = ordered[low] * (1 - (rank - low)) + ordered[high] * (rank - low)
        assert abs(quantile - expected) <= RELATIVE_ERROR_MAX * abs(expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(NORMAL, min_size=1, max_size=60), st.integers(0, 59))
def test_every_rank_is_within_the_promised_error_of_its_value(values: list[float], place: int) -> None:
    """With values of any sign, the error holds for the value of the rank itself."""
    rank = place % len(values)
    probability = rank / max(len(values) - 1, 1)
    if math.floor(probability * (len(values) - 1)) != probability * (len(values) - 1):
        return
    got = sketch_of(values).quantiles(np.array([probability]))[0]
    expected = sorted(values)[int(probability * (len(values) - 1))]
    assert abs(got - expected) <= RELATIVE_ERROR_MAX * abs(expected)


def test_ends_are_exact_where_they_are_known() -> None:
    """Quantile 0 is the smallest value and quantile 1 the largest; nothing lies beyond them."""
    got = sketch_of([3.0, 3.01, 3.02]).quantiles(np.array([0.0, 0.5, 1.0]), 3.0, 3.02)
    assert got[0] == 3.0
    assert got[2] == 3.02
    assert 3.0 <= got[1] <= 3.02


def test_infinities_and_zeros_are_exact() -> None:
    """Infinities and zeros have buckets of their own."""
    got = sketch_of([-math.inf, 0.0, -0.0, 0.0, math.inf]).quantiles(np.array([0.0, 0.25, 0.5, 1.0]))
    assert got.tolist() == [-math.inf, 0.0, 0.0, math.inf]


def test_no_values_have_no_quantile() -> None:
    """NaN, as in Prometheus; NaN values are passed over."""
    sketch = sketch_of([math.nan])
    assert sketch.count == 0
    assert np.isnan(sketch.quantiles(np.array([0.5]))).all()


def test_many_sketches_at_once_are_as_one_by_one() -> None:
    """``quantiles_of`` and ``check_sketches`` of a column."""
    chance = np.random.default_rng(3)
    groups = [chance.lognormal(size=size) * sign for size, sign in ((1, 1), (30, -1), (0, 1), (300, 1))]
    asked = np.array([0.0, 0.5, 0.95, 1.0])
    smallest = np.array([group.min() if len(group) else math.nan for group in groups])
    largest = np.array([group.max() if len(group) else math.nan for group in groups])
    offsets, data = column([sketch_of(group.tolist()).to_bytes() for group in groups])
    got = quantiles_of(offsets, data, asked, smallest, largest)
    one_by_one = [
        sketch_of(group.tolist()).quantiles(asked, low, high)
        for group, low, high in zip(groups, smallest, largest, strict=True)
    ]
    assert np.array_equal(got, np.array(one_by_one), equal_nan=True)
    assert check_sketches(offsets, data).tolist() == [1, 30, 0, 300]


def test_a_sketch_cleared_is_a_new_one() -> None:
    """Clearing leaves nothing behind."""
    sketch = sketch_of([1.0, -5.0, 0.0, math.inf, 5e-324])
    sketch.clear()
    assert (sketch.count, sketch.to_bytes()) == (0, b"\x05")


GOLDEN = Path(__file__).parents[1] / "goldens" / "sketches.bin"
GOLDEN_VALUES = [
    [0.5, 1.0, 1.0, 7.0, *[-2.0] * 10],
    [],
    [0.0] * 300,
    [math.inf, -math.inf, 5e-324],
    [1.0] * 7,
    [1.0] * 8,
    np.random.default_rng(1).normal(50, 5, 300).tolist(),
]


def test_the_golden_sketches_are_written_and_read() -> None:
    """The golden file has sketches as in docs/format/ladder.md, each behind its length in two bytes."""
    stream = io.BytesIO(GOLDEN.read_bytes())
    for values in GOLDEN_VALUES:
        data = stream.read(int.from_bytes(stream.read(2), "little"))
        assert sketch_of(values).to_bytes() == data
        sketch = Sketch()
        sketch.merge(*column([data]))
        assert sketch.count == len(values)
    assert stream.read() == b""


HOSTILE = {
    "nothing at all": b"",
    "another schema": b"\x04",
    "zeros announced, none there": b"\x25",
    "no zeros, but announced": b"\x25\x00",
    "bytes behind the end": b"\x05\x00",
    "no buckets, but announced": b"\x85\x00\x00",
    "a varint too long for its number": b"\x25\x81\x00",
    "a varint that never ends": b"\x25" + b"\xff" * 11,
    "an index below all numbers": bytes([0x85]) + b"\x01" + b"\x81\x99\x04" + b"\x00",
    "an index above infinity": bytes([0x85]) + b"\x01" + b"\x84\x80\x04" + b"\x00",
    "an index of 64 bits": bytes([0x85]) + b"\x01" + b"\xff" * 9 + b"\x01" + b"\x00",
    "a gap before the first bucket": b"\x85\x01\x00\x08",
    "a gap past infinity": b"\x85\x02\x82\x80\x04\x00\x78",
    "a gap of 64 bits": b"\x85\x02\x00\x00" + b"\xff" * 9 + b"\x01",
    "fewer buckets than announced": b"\x85\x03\x00\x00\x00",
    "2^40 buckets announced": b"\x85\x80\x80\x80\x80\x80\x20\x00\x00",
    "more values than may be": b"\x25" + b"\x80" * 6 + b"\x40",
    "more values than may be in a bucket": b"\x85\x01\x00\x07" + b"\xff" * 9 + b"\x01",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_bytes_that_are_no_sketch_are_refused(data: bytes) -> None:
    """The refusal names the place, and nothing is added."""
    sketch = sketch_of([1.0])
    good = sketch.to_bytes()
    with pytest.raises(Malformed, match="sketch: "):
        sketch.merge(*column([good, data]))
    assert sketch.to_bytes() == good
    with pytest.raises(Malformed):
        quantiles_of(*column([data]), np.array([0.5]), np.array([math.nan]), np.array([math.nan]))


def test_a_sketch_that_refused_a_merge_goes_on() -> None:
    """Buckets touched by a refused merge are 0 and not in use, and count when values come again."""
    refused = sketch_of([3.0, 7.0, -2.0, 1e300]).to_bytes()
    for more in ([], [7.0], [1e300, -2.0, 5.0]):
        sketch = sketch_of([1.0])
        with pytest.raises(Malformed):
            sketch.merge(*column([refused, refused[:-1]]))
        sketch.add(np.array(more, np.float64))
        assert sketch.to_bytes() == sketch_of([1.0, *more]).to_bytes()
        assert np.isfinite(sketch.quantiles(np.array([0.0, 1.0]))).all()
        sketch.clear()
        assert sketch.to_bytes() == Sketch().to_bytes()


@settings(max_examples=250, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=4))
def test_any_bytes_are_read_in_bounds_and_are_canonical(noise: bytes, start: bytes) -> None:
    """Accepted bytes are written again byte for byte."""
    for data in (noise, b"\xe5" + noise, sketch_of([1.0, 2.0, 2.0, -3.0]).to_bytes()[:6] + start):
        sketch = Sketch()
        try:
            sketch.merge(*column([data]))
        except Malformed:
            continue
        assert sketch.to_bytes() == data


def test_offsets_outside_of_the_data_are_refused() -> None:
    """Offsets outside of the data are refused before a byte is read."""
    data = np.frombuffer(b"\x05\x05", np.uint8)
    for offsets in ([], [0, 3], [1, 0, 2], [-1, 1]):
        with pytest.raises(ValueError, match="offsets"):
            Sketch().merge(np.array(offsets, np.int32), data)
