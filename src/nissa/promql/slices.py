"""Slices: how many series of a selector are evaluated at a time, so that a query over many stays in bounded memory.

    series     0 ········ 1111 ······· 2222 ······  n      bounded by cells (series × steps), by series, and by the
    samples    4 M        4 M          4 M                 samples that their windows are expected to read

What is expected comes from the source, before anything is read; one series alone is a slice however many it has.
"""

import numpy as np
import numpy.typing as npt

CELLS_PER_SLICE = 2_000_000  # series × steps evaluated at a time
ROWS_PER_SLICE_MAX = 16_384
SAMPLES_PER_SLICE = 4_000_000
SAMPLES_SHARE = 4  # of the samples that may be read at a time: what is expected may be wrong by so much


def samples_per_slice(samples_max: int) -> int:
    """Samples that the series evaluated at a time are expected to have, at most. samples_max: of one read."""
    return min(SAMPLES_PER_SLICE, samples_max // SAMPLES_SHARE)


def slices_of(steps: int, expected: npt.NDArray[np.float64], samples_max: int) -> list[tuple[int, int]]:
    """Ranges of rows. expected: samples of the rows before each row, float64 (rows + 1,). samples_max: of one read."""
    rows = len(expected) - 1
    size = min(max(CELLS_PER_SLICE // max(steps, 1), 1), ROWS_PER_SLICE_MAX)
    samples = samples_per_slice(samples_max)
    if rows <= size and expected[-1] <= samples:
        return [(0, rows)]
    found, first = [], 0
    while first < rows:
        fitting = int(np.searchsorted(expected, expected[first] + samples, "right")) - 1
        last = max(min(first + size, rows, fitting), first + 1)
        found.append((first, last))
        first = last
    return found
