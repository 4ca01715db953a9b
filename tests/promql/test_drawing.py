"""Columns of a drawing, compared with a plain computation and read back from their bytes."""

import json
import math
import struct

import numpy as np
import pytest

from nissa.promql.drawing import ALL, M4, drawing_pieces, m4, planes_of
from nissa.promql.evaluate import evaluate_range
from nissa.promql.memory_source import MemorySource

SEED = 41


def plain(values: np.ndarray, present: np.ndarray, columns: int) -> np.ndarray:
    """The four values of each column, step by step."""
    rows, steps = values.shape
    found = np.full((rows, 4, columns), np.nan)
    for row in range(rows):
        for step in range(steps):
            value = values[row, step]
            if present[row, step] != 1 or not math.isfinite(value):
                continue
            first, least, greatest, _ = cell = found[row, :, step * columns // steps]
            cell[:] = [
                value if math.isnan(first) else first,
                value if math.isnan(least) else min(least, value),
                value if math.isnan(greatest) else max(greatest, value),
                value,
            ]
    return found


@pytest.mark.parametrize(("steps", "columns"), [(1, 1), (7, 7), (100, 7), (1_000, 90), (97, 96)])
def test_columns_equal_a_plain_computation(steps: int, columns: int) -> None:
    """With gaps, NaN, infinities, marks of other kinds of samples, and rows and columns without any value."""
    random = np.random.default_rng(SEED)
    values = random.choice([0.0, -0.0, 1.5, -3.0, math.nan, math.inf, -math.inf], (6, steps)) * random.random(
        (6, steps)
    )
    present = random.choice(np.array([0, 0, 1, 2], np.uint8), (6, steps))
    present[0], present[1, : steps // 2] = 0, 0
    assert np.array_equal(m4(values, present, columns), plain(values, present, columns), equal_nan=True)


def test_every_step_is_sent_where_that_is_less() -> None:
    """Four values per column are never fewer than there are steps."""
    assert planes_of(400, 100) == ALL
    assert planes_of(401, 100) == M4


@pytest.mark.parametrize("columns", [100, 2])
def test_the_bytes_are_read_back(columns: int) -> None:
    """The head says where each plane of each series is; numbers begin at a multiple of 8 bytes."""
    source = MemorySource()
    for number in range(300):
        source.add({"__name__": "x", "é": f"{number:03}"}, [(at * 1_000, number + at) for at in range(20)])
    answer = evaluate_range(source, "x", 0, 19_000, 1_000)
    body = b"".join(drawing_pieces(answer.vector, {"step_ms": 1_000}, columns))
    (length,) = struct.unpack_from("<I", body)
    head = json.loads(body[4 : 4 + length])
    assert (4 + length) % 8 == 0
    numbers = np.frombuffer(body, "<f8", offset=4 + length).reshape(300, len(head["planes"]), head["columns"])
    assert head["step_ms"] == 1_000
    assert head["series"][299] == {"__name__": "x", "é": "299"}
    if columns == 2:
        assert head["planes"] == list(M4)
        assert numbers[7].tolist() == [[7, 17], [7, 17], [16, 26], [16, 26]]
    else:
        assert head["planes"] == list(ALL)
        assert numbers[7].tolist() == [list(range(7, 27))]
