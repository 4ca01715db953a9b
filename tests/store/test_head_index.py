"""Rows of some series in memory: found by the index as by a look at all of them."""

import random
import threading

import msgspec
import numpy as np
import pytest

from nissa.model.columns import SampleBatch
from nissa.store import head_index
from nissa.store.blocks import choose_series
from nissa.store.head_index import PAGES_PER_QUESTION, SERIES_MAX, HeadIndex
from nissa.store.read import Snapshot, head_overlaps, head_range_ms, read_samples
from oracle.columns import Sample, resolve, select
from oracle.directory import ALWAYS, batch_of, samples_of

PAGE = 8
VALUES = [0, 0x3FF << 52, 1 << 63]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 8 rows."""
    monkeypatch.setattr(head_index, "PAGE_ROWS", PAGE)


def first_rows(batch: SampleBatch, count: int) -> SampleBatch:
    """The first ``count`` rows of a batch."""
    return SampleBatch(batch.series[:count], batch.ts_ms[:count], batch.value[:count])


def asked(index: HeadIndex, chunk: SampleBatch, ids: list[int], start_ms: int, end_ms: int) -> list[Sample]:
    """Samples that the index finds, by series, in order of arrival."""
    choice = choose_series(np.array(ids, np.uint32))
    found = [one for part in index.rows(chunk, choice, start_ms, end_ms) for one in samples_of(part)]
    return sorted(found, key=lambda sample: sample[0])


@pytest.mark.parametrize("seed", range(10))
def test_a_growing_head_is_read_like_the_twin(tmp_path, seed: int) -> None:
    """Question after question over chunks that grow, of few series, of many and of all: the rows the twin has."""
    chance = random.Random(seed)
    chunks = [
        [(chance.randrange(40), chance.randrange(60), chance.choice(VALUES)) for _ in range(chance.randint(0, 150))]
        for _ in range(3)
    ]
    whole, indexes = [batch_of(chunk) for chunk in chunks], tuple(HeadIndex() for _ in chunks)
    visible = [0, 0, 0]
    for _ in range(40):
        grows = chance.randrange(3)
        visible[grows] = min(visible[grows] + chance.randint(0, 40), len(chunks[grows]))
        heads = tuple(first_rows(*pair) for pair in zip(whole, visible, strict=True))
        snapshot = Snapshot(tmp_path, (), heads, head_indexes=indexes)
        rows = [one for chunk, count in zip(chunks, visible, strict=True) for one in chunk[:count]]
        ids = chance.sample(range(45), chance.choice([1, 2, 5, 44]))
        start_ms, end_ms = chance.randint(-2, 62), chance.randint(-2, 62)
        found = read_samples(snapshot, np.array(ids, np.uint32), start_ms, end_ms)
        assert samples_of(found) == select(resolve(rows)[0], set(ids), start_ms, end_ms)


def test_one_question_indexes_so_many_pages() -> None:
    """Full pages alone, up to the number that is asked for; the rows are the same before and after."""
    samples = [(row % 5, row, 0) for row in range(PAGE * 10 + 3)]
    chunk, index = batch_of(samples), HeadIndex()
    want = [one for one in samples if one[0] == 3 and 10 <= one[1] < 70]
    for made in (4, 4, 2, 0):
        assert asked(index, chunk, [3], 10, 70) == want
        assert index.grow(chunk, 4) == made
    assert asked(index, chunk, [3], 10, 70) == want
    assert asked(index, chunk, [7], *ALWAYS) == []


def test_a_question_for_many_series_indexes_nothing(tmp_path) -> None:
    """More series than it is worth for, and no page is indexed; few, and some are."""
    chunk, index = batch_of([(row % 5, row, 0) for row in range(PAGE * 10)]), HeadIndex()
    snapshot = Snapshot(tmp_path, (), (chunk,), head_indexes=(index,))
    assert len(read_samples(snapshot, np.arange(SERIES_MAX + 1, dtype=np.uint32), *ALWAYS)) == PAGE * 10
    assert index.grow(chunk, 0) == 0
    read_samples(snapshot, np.arange(1, dtype=np.uint32), *ALWAYS)
    assert index.grow(chunk, 100) == 10 - PAGES_PER_QUESTION


def test_an_index_that_is_ahead_gives_no_row_too_many() -> None:
    """A question whose rows are fewer than what another one has indexed gets its own alone."""
    samples = [(1, row, 0) for row in range(PAGE * 4)]
    chunk, index = batch_of(samples), HeadIndex()
    assert index.grow(chunk, 4) == 4
    for count in (0, 3, PAGE, PAGE + 5):
        assert asked(index, first_rows(chunk, count), [1], *ALWAYS) == samples[:count]


def test_questions_side_by_side() -> None:
    """Threads that index and read one chunk get the same rows, and every page is indexed once."""
    samples = [(row % 7, row, 0) for row in range(PAGE * 50)]
    chunk, index = batch_of(samples), HeadIndex()
    made, wrong = [], []

    def ask() -> None:
        for _ in range(50):
            made.append(index.grow(chunk, 1))
            if asked(index, chunk, [2], *ALWAYS) != [one for one in samples if one[0] == 2]:
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(made) + index.grow(chunk, 50), wrong) == (50, [])


def test_the_range_of_rows_in_memory(tmp_path) -> None:
    """The range is computed if it is not known, and rows outside of it are not read."""
    snapshot = Snapshot(tmp_path, (), (batch_of([]), batch_of([(1, 30, 0), (2, 10, 0)])))
    assert head_range_ms(snapshot) == (10, 30)
    assert head_overlaps(snapshot, -5, -3)  # it is not known
    known = msgspec.structs.replace(snapshot, head_ms=(10, 30))
    assert [head_overlaps(known, *span) for span in ((0, 10), (0, 11), (30, 31), (31, 99))] == [0, 1, 1, 0]
    assert head_range_ms(Snapshot(tmp_path)) is None
    assert not head_overlaps(Snapshot(tmp_path), *ALWAYS)
