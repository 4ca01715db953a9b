"""Sealing: rows stored, duplicates found, and no half-written files."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store.test_event_blocks import events_of
from store.test_series_table import SOME, rows_of

from nissa.catalogue.catalogue import BlockRow
from nissa.files.checked_file import FileGone
from nissa.files.names import own_files
from nissa.model.columns import SampleBatch
from nissa.store.blocks import read_block
from nissa.store.seal import HighWaterMarks, SealInput, stand_against_blocks, write_seal
from oracle.columns import STALE_BITS, Sample, rank, resolve
from oracle.directory import Directory, batch_of

VALUES = [STALE_BITS, 0x7FF8 << 48, 1 << 63, 0, 0x3FF << 52]
HEAD = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from(VALUES)), max_size=25)


def test_the_example_of_the_page(tmp_path: Path) -> None:
    """New rows are written, equal ones dropped, a better value replaces; duplicates name the input rows."""
    directory = Directory(tmp_path)
    one, two, four, five = (0x3FF << 52, 1 << 62, 0x401 << 52, 0x4014 << 48)
    directory.seal([(7, 20, two), (7, 30, four), (9, 10, five)])
    sealed = directory.seal([(7, 10, one), (7, 20, two), (9, 10, four), (7, 20, two), (7, 30, five), (9, 20, one)], 3)
    assert sealed.duplicates.tolist() == [1, 2, 3, 4]
    assert sealed.conflicts.tolist() == [0, 1, 0, 1]
    assert [block.rows for block in directory.blocks()] == [3, 3]
    assert directory.export() == [(7, 10, one), (7, 20, two), (7, 30, five), (9, 10, five), (9, 20, one)]


@pytest.mark.long
@settings(max_examples=120, deadline=None)
@given(st.lists(HEAD, min_size=1, max_size=5), st.booleans())
def test_any_heads_give_the_state_and_counts_of_the_twin(
    tmp_path_factory: pytest.TempPathFactory, heads: list[list[Sample]], reopen: bool
) -> None:
    """After any heads, the state is that of all rows resolved, and stored rows are counted exactly."""
    directory = Directory(tmp_path_factory.mktemp("data"))
    stored = 0
    best: dict[tuple[int, int], int] = {}
    for head in heads:
        if reopen:  # a restart forgets the times of single series
            directory.catalogue.close()
            directory = Directory(directory.path)
        sealed = directory.seal(head, parts=2)
        new = {(series, ts_ms) for series, ts_ms, _ in head} - best.keys()
        stored += len(head) - len(sealed.duplicates)
        for series, ts_ms, bits in head:
            best[series, ts_ms] = max(best.get((series, ts_ms), bits), bits, key=rank)
        assert len(head) - len(sealed.duplicates) == len(new)
    everything = [sample for head in heads for sample in head]
    assert directory.export() == resolve(everything)[0]
    assert stored == len(best)


def test_every_order_of_arrival_seals_to_one_state(tmp_path: Path) -> None:
    """The same samples, shuffled, repeated and cut into other heads, give the same export and the same count."""
    chance = random.Random(4)
    samples = [(chance.randrange(9), chance.randrange(40), chance.choice(VALUES)) for _ in range(400)]
    states = []
    for turn in range(6):
        directory = Directory(tmp_path / str(turn))
        again = samples + chance.sample(samples, 100 * (turn % 3))
        chance.shuffle(again)
        size = chance.randint(30, 200)
        stored = 0
        for at in range(0, len(again), size):
            head = again[at : at + size]
            stored += len(head) - len(directory.seal(head).duplicates)
        states.append((directory.export(), stored))
    assert states == [states[0]] * 6


def test_traffic_in_order_reads_no_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows later than all sealed rows of their series are written without a look into any block."""
    directory = Directory(tmp_path)
    first = directory.seal([(series, ts_ms, 0) for ts_ms in range(5) for series in range(3)])
    read: list[BlockRow] = []

    def noting(path: Path, block: BlockRow, *arguments: Any) -> Iterator[SampleBatch]:
        read.append(block)
        return read_block(path, block, *arguments)

    monkeypatch.setattr("nissa.store.seal.read_block", noting)
    assert len(directory.seal([(0, 5, 0), (1, 6, 0), (500, 0, 0), (2, 99, 0)]).duplicates) == 0
    assert not read
    assert directory.seal([(1, 3, 0)]).duplicates.tolist() == [0]
    assert read[0] == first.blocks[0]


def test_new_data_does_not_wait_for_missing_blocks(tmp_path: Path) -> None:
    """Possible duplicates of samples in a missing block are stored; a reader gets FileGone and takes a new snapshot."""
    directory = Directory(tmp_path)
    first = directory.seal([(0, 3, 0), (1, 3, 0)])
    (tmp_path / first.blocks[0].path).unlink()
    directory.seal([(2, 3, 0)])
    assert directory.seal([(0, 3, 0), (1, 3, 0), (2, 3, 0)]).duplicates.tolist() == [2]
    with pytest.raises(FileGone):
        stand_against_blocks(tmp_path, first.blocks, batch_of([(0, 3, 0)]), np.zeros(1, np.uint32))


def test_new_data_does_not_wait_for_damaged_blocks(tmp_path: Path) -> None:
    """Possible duplicates of samples in a damaged block are stored; other blocks are compared as ever."""
    directory = Directory(tmp_path)
    first = directory.seal([(0, 3, 0), (1, 3, 0)])
    directory.seal([(1, 4, 0)])
    (tmp_path / first.blocks[0].path).write_bytes(b"damaged")
    assert len(directory.seal([(0, 3, 0), (1, 3, 0), (1, 4, 0)]).duplicates) == 1


def test_a_horizon_of_old_blocks_is_never_too_early(tmp_path: Path) -> None:
    """After a restart every known series is looked up until the time of the latest block; unknown series are not."""
    directory = Directory(tmp_path)
    directory.seal([(0, 100, 0), (1, 50, 0)])
    horizon = HighWaterMarks(directory.catalogue.blocks(), 2)
    rows = [(0, 100, 0), (1, 60, 0), (1, 101, 0), (2, 10, 0)]
    assert horizon.rows_behind(batch_of(rows)).tolist() == [0, 1]
    assert HighWaterMarks([], 9).rows_behind(batch_of(rows)).tolist() == []


def test_series_and_events_are_sealed_with_the_samples(tmp_path: Path) -> None:
    """New series become a segment and events a block; a head of events alone has no raw block."""
    directory = Directory(tmp_path)
    head = SealInput([batch_of([(0, 1, 0)])], 1, 4, 9, rows_of(SOME), [events_of([5, 3]), events_of([])])
    sealed = write_seal(tmp_path, directory.catalogue, directory.horizon, head)
    assert [(block.kind, block.rows, block.first_lsn, block.last_lsn) for block in sealed.blocks] == [
        ("raw", 1, 1, 4),
        ("events", 2, 1, 4),
    ]
    assert sealed.segment is not None
    assert (sealed.segment.first_series, sealed.segment.rows) == (0, 5)
    only_events = write_seal(
        tmp_path, directory.catalogue, directory.horizon, SealInput([], 5, 5, 9, None, [events_of([1])])
    )
    assert [block.kind for block in only_events.blocks] == ["events"]


def test_a_seal_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """Whatever part cannot be written, the files of the other parts go with it."""
    directory = Directory(tmp_path)
    directory.seal([(0, 1, 0)])
    sealed = own_files(tmp_path)
    bad = SealInput([batch_of([(3, 9, 0)])], 2, 2, 1, rows_of(SOME), [events_of([1])])
    (tmp_path / "blocks").rename(tmp_path / "hidden")
    with pytest.raises(OSError, match="No such file"):
        write_seal(tmp_path, directory.catalogue, directory.horizon, bad)
    (tmp_path / "hidden").rename(tmp_path / "blocks")
    assert own_files(tmp_path) == sealed


def test_an_empty_head_seals_nothing(tmp_path: Path) -> None:
    """No rows, no series, no events: no files, and the checkpoint may still move."""
    directory = Directory(tmp_path)
    sealed = directory.seal([])
    assert (sealed.blocks, sealed.segment, len(sealed.duplicates)) == ((), None, 0)
    assert directory.catalogue.checkpoint().lsn == 1
    assert own_files(tmp_path) == []


def test_conflicts_are_parallel_and_rows_ascend(tmp_path: Path) -> None:
    """Over many chunks the duplicates come in order of their input rows, each with its own mark."""
    directory = Directory(tmp_path)
    directory.horizon = HighWaterMarks([], 400_000)
    half = [(series, 1, 0) for series in range(200_000)]
    directory.seal(half)
    sealed = directory.seal([(series, 1, 0 if series % 2 else 1 << 63) for series in range(199_999, -1, -1)], 4)
    assert sealed.duplicates.tolist() == list(range(200_000))
    assert np.array_equal(sealed.conflicts, np.tile(np.array([0, 1], np.uint8), 100_000))
