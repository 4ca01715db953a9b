"""Slices of time: heads and wide blocks are cut, merges stay within a slice, and readers see no difference."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.catalogue.catalogue import BlockRow, Catalogue, Checkpoint, Seal
from nissa.files.names import block_path, own_files
from nissa.model.errors import BlocksChanged
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.query.events import EventRequest, read_page
from nissa.store import event_blocks, event_slices
from nissa.store.block_file import delete_blocks
from nissa.store.event_runs import EventSnapshot
from nissa.store.event_slices import (
    WIDTHS_MS,
    Frames,
    cut_wide_block,
    is_wide,
    plan_event_compaction,
    slice_width_ms,
    write_event_slices,
)
from nissa.store.verify import verify_directory
from oracle.directory import Directory
from oracle.event_blocks import write_events
from oracle.events import Row, event_batch, event_row
from oracle.slices import end_after

EDGES_MS = (0, 5_000, -7_000, -(2**63), 2**63 - 3_000)
TIMES = st.builds(int.__add__, st.sampled_from(EDGES_MS), st.integers(0, 2_999))


def all_events(directory: Path, catalogue: Catalogue) -> list[Row]:
    """Every event in blocks, in order."""
    return read_page(EventSnapshot(directory, tuple(catalogue.blocks())), EventRequest(limit=10_000)).events


def block(number: int, min_ms: int, max_ms: int) -> BlockRow:
    """An event block that arrived as the ``number``-th."""
    path = block_path("events", number)
    return BlockRow(number, "events", 0, path, 9, min_ms, max_ms, 0, 0, number, number, max_ms, 100, 7, b"")


def test_widths_follow_the_settings() -> None:
    """An eighth of the retention at most, wider where the acceptance window would fill too many slices."""
    assert slice_width_ms(7 * DAY_MS, 6 * HOUR_MS, 10 * MINUTE_MS) == 12 * HOUR_MS
    assert slice_width_ms(8 * DAY_MS, 6 * HOUR_MS, 0) == DAY_MS
    assert slice_width_ms(HOUR_MS, 0, 0) == MINUTE_MS
    assert slice_width_ms(HOUR_MS, 32 * HOUR_MS, 0) == HOUR_MS
    assert slice_width_ms(1, 0, 0) == SECOND_MS
    assert all(wider % width == 0 for width, wider in pairwise(WIDTHS_MS))


@pytest.mark.long
@settings(deadline=None, max_examples=15)
@given(st.lists(st.lists(TIMES, min_size=1, max_size=20), min_size=1, max_size=5), st.integers(2, 4), st.booleans())
def test_cut_blocks_read_as_before(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]], blocks_max: int, at_once: bool
) -> None:
    """Cut when they are sealed or afterwards, also at both ends of what an int64 holds: the same events, in order."""
    path = tmp_path_factory.mktemp("slices")
    catalogue, numbers = Directory(path).catalogue, iter(range(10_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_slices, "CUT_BLOCKS_MAX", blocks_max)
        patch.setattr(event_blocks, "GROUP_ROWS", 3)
        rows: list[Row] = []
        for lsn, times in enumerate(parts, 1):
            arrived = [event_row(time_ms, next(numbers)) for time_ms in times]
            rows += arrived
            batches = [event_batch(arrived[:3]), event_batch(arrived[3:])]
            if at_once:
                blocks = write_event_slices(path, catalogue, batches, Frames(0, lsn, lsn, 77), 1_000)
            else:
                blocks = (write_events(path, catalogue.new_id(), batches, lsn, lsn, 77),)
            catalogue.commit_seal(Seal(Checkpoint(lsn), blocks))
        rows.sort(key=lambda row: row["time_ms"])
        assert all_events(path, catalogue) == rows
        while wide := [one for one in catalogue.blocks() if is_wide(one, 1_000)]:
            publish = partial(catalogue.replace_blocks, wide[:1])
            cut = run_whole(cut_wide_block(path, catalogue, wide[0], 1_000, publish))
            delete_blocks(path, wide[:1])
            assert {(one.created_ms, one.first_lsn, one.level) for one in cut} == {(77, wide[0].first_lsn, 0)}
            assert len(cut) <= blocks_max
            assert all_events(path, catalogue) == rows
    assert own_files(path) == sorted(one.path for one in catalogue.blocks())
    assert verify_directory(path).sound


def test_merges_stay_within_a_slice() -> None:
    """Neighbours are those of a slice, whatever arrived between them for others; a wide block is in all it touches."""
    blocks = [block(1, 0, 5), block(2, 10, 15), block(3, 1, 9), block(4, 11, 19), block(5, 2, 3), block(6, 12, 12)]

    def planned(*others: BlockRow, passed_by: set[int] = frozenset()) -> list[int]:  # type: ignore[assignment]
        return [one.id for one in plan_event_compaction([*blocks, *others], 3, 10, passed_by)]

    assert planned() == [1, 3, 5]
    assert planned(passed_by={3}) == [2, 4, 6]
    between = msgspec.structs.replace(block(7, 5, 12), first_lsn=3, last_lsn=3)
    assert planned(between) == []
    assert planned(msgspec.structs.replace(between, min_ms=-20, max_ms=9)) == [2, 4, 6]


def test_a_cut_that_fails_leaves_the_old_block(tmp_path: Path) -> None:
    """Ended between two slices, or too late: no file of it stays."""
    catalogue = Directory(tmp_path).catalogue
    wide = write_events(tmp_path, catalogue.new_id(), [event_batch([event_row(at, at) for at in (1, 5_000)])], 1, 1, 1)
    catalogue.commit_seal(Seal(Checkpoint(1), (wide,)))

    def refuse(_: tuple[BlockRow, ...]) -> None:
        raise BlocksChanged("elsewhere")

    end_after(cut_wide_block(tmp_path, catalogue, wide, 1_000, refuse), 2)
    with pytest.raises(BlocksChanged):
        run_whole(cut_wide_block(tmp_path, catalogue, wide, 1_000, refuse))
    assert (catalogue.blocks(), own_files(tmp_path)) == ([wide], [wide.path])
