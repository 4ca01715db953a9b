"""Runs of rows are copied as a loop over them says."""

import random

import numpy as np
import pytest

from nissa._fast.run_order import copy_runs

U32 = np.uint32


def part_of(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns of (series, ts_ms, bits of the value)."""
    series, ts_ms, bits = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return np.array(series, U32), np.array(ts_ms, np.int64), np.array(bits, np.uint64).view(np.float64)


@pytest.mark.parametrize("seed", range(40))
def test_runs_are_those_of_a_loop(seed: int) -> None:
    """Any runs of any parts, empty ones and the same ones again too; values keep their bits."""
    chance = random.Random(seed)
    rows = [
        [(chance.randrange(9), chance.randrange(-99, 99), chance.getrandbits(64)) for _ in range(chance.randrange(40))]
        for _ in range(chance.randint(1, 5))
    ]
    runs = []
    for _ in range(chance.randrange(30)):
        number = chance.randrange(len(rows))
        first = chance.randint(0, len(rows[number]))
        runs.append((number, first, chance.randint(first, len(rows[number]))))
    columns = [np.array([run[at] for run in runs], U32) for at in range(3)]
    series, ts_ms, value = copy_runs([part_of(one) for one in rows], *columns)
    expected = [row for number, first, end in runs for row in rows[number][first:end]]
    assert list(zip(series.tolist(), ts_ms.tolist(), value.view(np.uint64).tolist(), strict=True)) == expected


@pytest.mark.parametrize("run", [(1, 0, 1), (0, 0, 4), (0, 2, 1), (2**32 - 1, 0, 1), (0, 2**32 - 1, 2**32 - 1)])
def test_runs_of_no_rows_are_refused(run: tuple[int, int, int]) -> None:
    """Refused are runs of a missing part, of rows behind its end, and with an end before the start."""
    part = part_of([(1, 2, 3)] * 3)
    good = np.zeros(1, U32)
    with pytest.raises(ValueError, match="run 1: rows"):
        copy_runs([part], *(np.append(good, U32(number)) for number in run))


def test_columns_of_different_lengths_are_refused() -> None:
    """Columns of a part, or of the runs, must have one length."""
    series, ts_ms, value = part_of([(1, 2, 3)] * 3)
    one = np.zeros(1, U32)
    with pytest.raises(ValueError, match="columns of different lengths: 2 series, 3 times, 3 values"):
        copy_runs([(series[:2], ts_ms, value)], one, one, one)
    with pytest.raises(ValueError, match="columns of different lengths: 1 parts, 0 firsts, 1 ends"):
        copy_runs([(series, ts_ms, value)], one, one[:0], one)
