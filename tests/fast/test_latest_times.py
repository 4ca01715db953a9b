"""``_fast/latest_times`` against its slow twin: a dictionary, and what one time may stand for."""

import random

import numpy as np
import pytest

from nissa._fast.latest_times import LatestTimes

PAGE = 8_192
NEVER_MS = -(2**63)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """(series, ts_ms) as columns."""
    return np.array([one for one, _ in rows], np.uint32), np.array([ts for _, ts in rows], np.int64)


def test_rows_behind_and_raising() -> None:
    """A row is behind where its series has a row as late; unknown series never are; raising is a maximum."""
    latest = LatestTimes(NEVER_MS, 3)
    latest.raise_times(*columns([(0, 20), (1, 50)]))
    rows = columns([(0, 30), (1, 50), (7, 10), (2, NEVER_MS + 1), (0, 20), (0, -5)])
    assert latest.rows_behind(*rows).tolist() == [1, 4, 5]
    latest.raise_times(*columns([(0, 30), (1, 49), (0, 25)]))
    assert latest.rows_behind(*rows).tolist() == [0, 1, 4, 5]


def test_until_a_series_is_raised_the_first_time_stands_for_it() -> None:
    """A known series has the first time until it is raised; an earlier raise changes nothing."""
    latest = LatestTimes(100, 2)
    assert latest.rows_behind(*columns([(0, 100), (1, 101), (2, 10)])).tolist() == [0]
    latest.raise_times(*columns([(0, 60), (1, 200)]))
    assert latest.rows_behind(*columns([(0, 100), (1, 150), (1, 201)])).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(4))
def test_it_is_never_earlier_than_the_twin(seed: int) -> None:
    """Whatever is let go, a row that may stand in a block is named; memory is that of the pages that are kept."""
    chance = random.Random(seed)
    latest, twin, now_ms, extra = LatestTimes(NEVER_MS, 0), dict[int, int](), -500, 0
    for _ in range(200):
        now_ms += chance.randrange(20)
        base = chance.choice([0, PAGE - 2, 5 * PAGE, 2**31 - 9])
        rows = [(base + chance.randrange(9), now_ms - chance.choice([0, 0, 3, 300])) for _ in range(5)]
        found = set(latest.rows_behind(*columns(rows)).tolist())
        true = {at for at, (one, ts) in enumerate(rows) if ts <= twin.get(one, NEVER_MS)}
        assert found >= true
        extra += len(found - true)
        latest.raise_times(*columns(rows))
        for one, ts in rows:
            twin[one] = max(twin.get(one, NEVER_MS), ts)
        if chance.random() < 0.2:
            latest.let_go(now_ms - 40)
            kept = {one // PAGE for one, ts in twin.items() if ts >= now_ms - 40}
            assert latest.memory_bytes >= 8 * PAGE * len(kept)
    assert extra < 100
    latest.let_go(now_ms + 1)
    assert latest.memory_bytes == 0
    assert latest.rows_behind(*columns([(one, ts) for one, ts in twin.items()])).tolist() == list(range(len(twin)))


def test_ids_past_the_last_are_refused() -> None:
    """Such ids are behind no time, and cannot be raised; columns of different lengths are an error."""
    latest = LatestTimes(100, 2**31)
    assert latest.rows_behind(*columns([(2**31, 5), (2**32 - 1, 5), (2**31 - 1, 5)])).tolist() == [2]
    with pytest.raises(ValueError, match="past the last"):
        latest.raise_times(*columns([(2**31, 5)]))
    with pytest.raises(ValueError, match="different lengths"):
        latest.rows_behind(np.zeros(1, np.uint32), np.zeros(2, np.int64))
