"""Memory of a query under way."""

import numpy as np
import pytest

from nissa.model.errors import TooLarge
from nissa.promql.evaluate import evaluate_range
from nissa.promql.holding import SMALL_BYTES, Holding
from nissa.promql.memory_source import MemorySource
from nissa.query.limits import Allowance, MemoryBudget

SERIES, STEPS = 20, 1_000
MATRIX_BYTES = SERIES * STEPS * 9


def test_arrays_are_counted_once_and_while_they_live() -> None:
    """A second mention counts nothing; what has died is given back at the next one; small arrays are not counted."""
    taken = [0]

    def check(taken_bytes: int = 0, /) -> None:
        taken[0] += taken_bytes

    holding = Holding(check)
    first, second = np.zeros(SMALL_BYTES, np.uint8), np.zeros(2 * SMALL_BYTES, np.uint8)
    holding.add(first, second, np.zeros(1))
    holding.add(first)
    assert taken == [3 * SMALL_BYTES]
    del second
    holding.add()
    assert taken == [SMALL_BYTES]


def source() -> MemorySource:
    source = MemorySource()
    for at in range(SERIES):
        source.add({"__name__": "x", "at": str(at)}, [(ts_ms, 1.0) for ts_ms in range(0, STEPS * 1_000, 10_000)])
    return source


@pytest.mark.parametrize(
    ("expression", "matrices"), [("x", 1), ("x + x", 2), ("x + x + x + x", 2), ("x + (x + (x + (x + x)))", 5)]
)
def test_an_evaluation_holds_as_many_matrices_as_it_must(expression: str, matrices: int) -> None:
    """A chain holds two at a time however long it is; brackets to the right hold one for each; over it, it ends."""

    def evaluate(bytes_max: int) -> None:
        ration = MemoryBudget(10**9)
        with Allowance(lambda: 0.0, 1_000, bytes_max, ration) as query:
            evaluate_range(source(), expression, 0, (STEPS - 1) * 1_000, 1_000, check=query.check)
            assert query.taken_bytes >= MATRIX_BYTES
        assert ration.taken_bytes == 0

    with pytest.raises(TooLarge, match="query_memory_size_max"):
        evaluate(matrices * MATRIX_BYTES - MATRIX_BYTES // 2)
    evaluate((matrices + 2) * MATRIX_BYTES)
