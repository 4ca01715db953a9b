"""Runs of windows merged: the later run wins, every batch holds whole series."""

from collections.abc import Iterator

import numpy as np

from nissa.model.ladder import SketchColumn, WindowBatch
from nissa.rollup.merge import merge_windows
from nissa.rollup.windows import cut_windows, join_windows

Row = tuple[int, int, int]  # series, start, count


def batch_of(rows: list[Row]) -> WindowBatch:
    """Windows with these counts; the sketch of each is its count, in as many bytes."""
    series, starts, counts = (np.array(column) for column in zip(*rows, strict=True))
    numbers = [counts.astype(np.float64)] * 8
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    sketch = SketchColumn(offsets, np.repeat(counts, counts).astype(np.uint8))
    keys = (series.astype(np.uint32), starts.astype(np.int64), counts.astype(np.uint32), counts.astype(np.uint32))
    return WindowBatch(*keys, *numbers, sketch)


def rows_of(windows: WindowBatch) -> list[Row]:
    """Windows as rows; what stands beside the count must fit it."""
    sketch = windows.sketch
    assert sketch is not None
    for at, count in enumerate(windows.count.tolist()):
        assert sketch.data[sketch.offsets[at] : sketch.offsets[at + 1]].tolist() == [count] * count
        assert windows.resets[at] == count
    return list(zip(windows.series.tolist(), windows.start_ms.tolist(), windows.count.tolist(), strict=True))


def run_of(rows: list[Row], cuts: list[int]) -> Iterator[WindowBatch]:
    """A run in batches that end anywhere."""
    for first, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        if first < end:
            yield batch_of(rows[first:end])


def test_random_runs_are_what_a_dictionary_says() -> None:
    """Runs of all lengths, cut anywhere: one row per series and start, that of the last run; whole series."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        expected: dict[tuple[int, int], int] = {}
        runs = []
        for number in range(int(rng.integers(0, 5))):
            keys = {(int(rng.integers(8)), int(rng.integers(6))) for _ in range(int(rng.integers(1, 25)))}
            rows = [(series, start, (number * 7 + series + start) % 9) for series, start in sorted(keys)]
            expected |= {row[:2]: row[2] for row in rows}
            runs.append(run_of(rows, sorted(rng.integers(0, len(rows) + 1, 3).tolist())))
        batches = list(merge_windows(runs))
        found = [row for batch in batches for row in rows_of(batch)]
        assert found == [(*key, count) for key, count in sorted(expected.items())], seed
        seen = [series for batch in batches for series in np.unique(batch.series).tolist()]
        assert len(seen) == len(set(seen)), seed


def test_all_runs_are_begun_before_the_first_batch() -> None:
    """Whoever opens files in a run has opened them all by then."""
    begun = []

    def noted(number: int) -> Iterator[WindowBatch]:
        begun.append(number)
        yield batch_of([(number, 0, 1)])

    merged = merge_windows([noted(number) for number in range(4)])
    assert begun == []
    next(merged)
    assert begun == [0, 1, 2, 3]


def test_cut_and_joined_again() -> None:
    """Cutting and joining keep sketches with their rows."""
    rows = [(0, 0, 3), (0, 1, 0), (4, 0, 2), (4, 7, 5)]
    windows = batch_of(rows)
    assert rows_of(join_windows([cut_windows(windows, 0, 1), cut_windows(windows, 1, 4)])) == rows
