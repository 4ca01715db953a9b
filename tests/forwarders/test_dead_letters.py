"""Dead letters in their file: bit for bit, bounded, readable after a crash."""

import resource
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nissa.forwarders.dead_letters import DeadLetters, RefusedSamples, value_of, value_text
from nissa.model.errors import Unavailable
from nissa.model.units import DAY_MS, KIB

NOW_MS = 1_758_000_000_000
LABELS = {"__name__": "up", "job": "é\n"}


def made(tmp_path: Path, bytes_max: int = 64 * KIB) -> DeadLetters:
    """The letters of one sink."""
    return DeadLetters(tmp_path / "dead-letters" / "s.jsonl", bytes_max, DAY_MS)


def add(letters: DeadLetters, *values: float, now_ms: int = NOW_MS) -> None:
    """One letter with these values."""
    times = np.arange(len(values), dtype=np.int64)
    letters.add([RefusedSamples(LABELS, times, np.array(values), "out of order")], now_ms)


@given(st.integers(0, 2**64 - 1))
def test_values_are_read_back(bits: int) -> None:
    """Bit for bit, also NaN."""
    value = struct.unpack("<d", struct.pack("<Q", bits))[0]
    assert struct.pack("<d", value_of(value_text(value))) == struct.pack("<d", value)


def test_letters_outlive_the_process(tmp_path: Path) -> None:
    """Letters keep reason, first time and number; further ones have higher numbers."""
    letters = made(tmp_path)
    add(letters, 1.5, float("inf"))
    add(letters, 2.0)
    letters = made(tmp_path)
    add(letters, 3.0)
    found = letters.current(NOW_MS)
    assert [(one.id, [value for _, value in one.samples]) for one in found] == [
        (1, ["1.5", "inf"]),
        (2, ["2.0"]),
        (3, ["3.0"]),
    ]
    assert (found[0].labels, found[0].reason, found[0].first_seen_ms) == (LABELS, "out of order", NOW_MS)
    assert (letters.letters, letters.bytes) == (3, (tmp_path / "dead-letters" / "s.jsonl").stat().st_size)
    assert letters.drop({2}) == 1
    assert letters.drop() == 2
    assert letters.current(NOW_MS) == []
    assert (letters.letters, letters.bytes) == (0, 0)


def test_a_torn_line_costs_itself_only(tmp_path: Path) -> None:
    """A crash while a letter is written leaves a part of it; the next one has a line of its own."""
    letters = made(tmp_path)
    add(letters, 1.0)
    path = tmp_path / "dead-letters" / "s.jsonl"
    path.write_bytes(path.read_bytes() + b'{"id":2,"first')
    letters = made(tmp_path)
    add(letters, 2.0)
    assert [one.samples[0][1] for one in letters.current(NOW_MS)] == ["1.0", "2.0"]
    assert letters.damaged_lines == 1


def test_the_first_letters_are_read_alone(tmp_path: Path) -> None:
    """Reading stops at the limit; letters that are too old are dropped all the same."""
    letters = made(tmp_path)
    for number in range(5):
        add(letters, float(number), now_ms=NOW_MS + number)
    path = tmp_path / "dead-letters" / "s.jsonl"
    path.write_bytes(path.read_bytes() + b"no letter\n")
    assert [one.id for one in letters.current(NOW_MS, 2)] == [1, 2]
    assert letters.damaged_lines == 0
    assert [one.id for one in letters.current(NOW_MS + DAY_MS + 2, 2)] == [3, 4]
    assert (letters.letters, letters.dropped_samples) == (3, 2)
    assert len(letters.current(NOW_MS, 0)) == len(letters.current(NOW_MS)) == 3


def test_letters_are_bounded(tmp_path: Path) -> None:
    """Dead letters are bounded in bytes, dropping the oldest first, and in age; the dropped are counted in samples."""
    letters = made(tmp_path, bytes_max=2 * KIB)
    for number in range(100):
        add(letters, float(number), float(number))
        assert letters.bytes <= 2 * KIB + KIB // 2 + 200
    left = letters.current(NOW_MS)
    assert [one.id for one in left] == list(range(101 - len(left), 101))
    assert letters.dropped_samples == 2 * (100 - len(left)) > 0
    add(letters, 1.0, now_ms=NOW_MS + DAY_MS)
    letters.expire(NOW_MS + DAY_MS + 1)
    assert [one.id for one in letters.current(NOW_MS + DAY_MS + 1)] == [101]


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    """Nothing is acknowledged then: the sink tries again."""
    letters = made(tmp_path)
    (tmp_path / "dead-letters").write_text("a file is in the way")
    with pytest.raises(Unavailable, match="dead letters cannot be written"):
        add(letters, 1.0)


def test_a_full_disk_leaves_no_part_of_what_it_refused(tmp_path: Path) -> None:
    """Numbers stay unique: lines that the disk still took are not there beside those of the next attempt."""
    letters = made(tmp_path)
    add(letters, 0.0)
    times = np.arange(1, dtype=np.int64)
    refused = [RefusedSamples(LABELS, times, np.array([float(number)]), "out of order") for number in range(1, 100)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (letters.bytes + KIB, before[1]))
    try:
        with pytest.raises(Unavailable, match="dead letters cannot be written"):
            letters.add(refused, NOW_MS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [one.id for one in letters.current(NOW_MS)] == [1]
    letters.add(refused, NOW_MS)
    assert [one.id for one in letters.current(NOW_MS)] == list(range(1, 101))
    assert letters.bytes == (tmp_path / "dead-letters" / "s.jsonl").stat().st_size
    assert letters.damaged_lines == 0
