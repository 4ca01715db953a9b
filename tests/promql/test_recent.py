"""Reading of instant selectors: newest samples first, with the answers of a reading of the whole lookback."""

import math
import random
import struct

import numpy as np

from nissa.model.predicate import equals
from nissa.promql.evaluate import evaluate_instant, evaluate_range
from nissa.promql.memory_source import MemorySource
from nissa.promql.recent import RECENT_MS, read_looking_back

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
REACH_MS = 300_000
NOW_MS = 10_000_000


def source_of(*series: list[tuple[int, float]]) -> MemorySource:
    """A series of each list of (ms before now, value)."""
    source = MemorySource()
    for number, samples in enumerate(series):
        source.add({"__name__": "m", "n": f"{number:03}"}, [(NOW_MS - before, value) for before, value in samples])
    return source


def bits(value: float) -> int:
    """The bits of a value: those of a staleness marker count."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def newest(source: MemorySource, at_ms: int) -> list[tuple[int, int] | None]:
    """Of each series the last sample that a step finds in what is read, as (time, bits)."""
    selected = source.select((equals("__name__", "m"),))
    columns = read_looking_back(selected, 0, len(selected.labels), np.array([at_ms], np.int64), REACH_MS)
    found: list[tuple[int, int] | None] = []
    for first, end in zip(columns.offsets[:-1].tolist(), columns.offsets[1:].tolist(), strict=True):
        times = columns.ts_ms[first:end].tolist()
        assert times == sorted(times)
        places = [at for at, time in enumerate(times) if at_ms - REACH_MS < time <= at_ms]
        found.append((times[places[-1]], bits(float(columns.value[first + places[-1]]))) if places else None)
    return found


def test_a_series_without_a_recent_sample_is_read_further_back() -> None:
    """Live series, silent ones, empty ones and a staleness marker, each with its last sample in the lookback."""
    source = source_of(
        [(at, float(at)) for at in range(0, 400_000, 1_000)],
        [(200_000, 1.0), (250_000, 2.0)],
        [(REACH_MS, 3.0)],
        [(REACH_MS - 1, 4.0)],
        [(120_000, STALE), (130_000, 5.0)],
        [(RECENT_MS, 6.0), (-1_000, 7.0)],
        [(RECENT_MS - 1, 8.0)],
    )
    ages = [0, 200_000, None, REACH_MS - 1, 120_000, RECENT_MS, RECENT_MS - 1]
    values = [0.0, 1.0, None, 4.0, STALE, 6.0, 8.0]
    expected = [None if value is None else (NOW_MS - age, bits(value)) for age, value in zip(ages, values, strict=True)]
    assert newest(source, NOW_MS) == expected


def test_live_series_are_read_once_and_no_further(monkeypatch) -> None:
    """The rest of the lookback is read only for series without a sample in the last moments."""
    source = source_of([(1_000, 1.0), (200_000, 2.0)], [(2_000, 3.0)], [(150_000, 4.0)])
    selected = source.select((equals("__name__", "m"),))
    asked = []
    read = type(selected).read
    monkeypatch.setattr(type(selected), "read", lambda *a: (asked.append(a[1:]), read(*a))[1])
    at_ms = np.array([NOW_MS], np.int64)
    assert read_looking_back(selected, 0, 2, at_ms, REACH_MS).offsets.tolist() == [0, 1, 2]
    assert asked == [(slice(0, 2), NOW_MS - RECENT_MS + 1, NOW_MS + 1)]
    asked.clear()
    assert read_looking_back(selected, 1, 3, at_ms, REACH_MS).value.tolist() == [3.0, 4.0]
    assert [rows.tolist() if isinstance(rows, np.ndarray) else rows for rows, *_ in asked] == [slice(1, 3), [2]]
    assert asked[1][1:] == (NOW_MS - REACH_MS + 1, NOW_MS - RECENT_MS + 1)


def test_a_short_lookback_or_a_long_range_is_read_at_once(monkeypatch) -> None:
    """The whole span is read at once if little would be saved."""
    source = source_of([(1_000, 1.0)], [(200_000, 2.0)])
    selected = source.select((equals("__name__", "m"),))
    asked = []
    read = type(selected).read
    monkeypatch.setattr(type(selected), "read", lambda *a: (asked.append(a[1:]), read(*a))[1])
    read_looking_back(selected, 0, 2, np.array([NOW_MS], np.int64), 2 * RECENT_MS)
    read_looking_back(selected, 0, 2, np.arange(NOW_MS - 3_600_000, NOW_MS, 60_000), REACH_MS)
    assert asked == [
        (slice(0, 2), NOW_MS - 2 * RECENT_MS + 1, NOW_MS + 1),
        (slice(0, 2), NOW_MS - 3_600_000 - REACH_MS + 1, NOW_MS - 60_000 + 1),
    ]
    assert len(read_looking_back(selected, 0, 2, np.empty(0, np.int64), REACH_MS).ts_ms) == 0


def test_answers_are_those_of_a_whole_reading(monkeypatch) -> None:
    """Random series with gaps and markers give the same values and times with and without the short cut."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(30):
        series = []
        for _ in range(chance.randrange(12)):
            times = chance.sample(range(0, 900_000, 5_000), chance.choice((0, 1, 3, 60)))
            series.append([(before, chance.choice((1.0, math.nan, STALE, float(before)))) for before in sorted(times)])
        source, answers = source_of(*series), []
        for recent_ms in (RECENT_MS, 10**9, 1_000):
            monkeypatch.setattr("nissa.promql.recent.RECENT_MS", recent_ms)
            for expression in ("m", "timestamp(m)", "sum(m)", "m offset 1m", "m @ 9900"):
                instant = evaluate_instant(source, expression, NOW_MS).vector
                ranged = evaluate_range(source, expression, NOW_MS - 60_000, NOW_MS, 15_000).vector
                answers.append([part.tobytes() for one in (instant, ranged) for part in (one.values, one.present)])
        third = len(answers) // 3
        assert answers[:third] == answers[third : 2 * third] == answers[2 * third :]
