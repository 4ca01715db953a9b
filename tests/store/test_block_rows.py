"""The rows of a block, read whole, against what its row says."""

from pathlib import Path

import msgspec
import pytest
from store.test_event_blocks import events_of
from store.test_tier_blocks import some_windows

from nissa.files.checked_file import FileGone
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.slices import run_whole
from nissa.store.block_rows import RowsFound, find_rows, rows_fault
from nissa.store.tier_blocks import write_windows
from oracle.directory import Directory
from oracle.event_blocks import write_events


def test_rows_of_each_kind(tmp_path: Path) -> None:
    """Samples, windows and events have the number, times and series of their rows; another number is a fault."""
    directory = Directory(tmp_path)
    directory.seal([(3, 10, 0), (3, 20, 0), (5, 15, 0)])
    (raw,) = directory.blocks()
    windows = run_whole(write_windows(tmp_path, 98, DEFAULT_TIERS[1], iter([some_windows(2, 40)[1]]), 7, 1))
    events = write_events(tmp_path, 99, [events_of([5, 3])], 1, 2, 1)
    assert windows is not None
    assert find_rows(tmp_path, raw) == RowsFound(3, 10, 20, 3, 5)
    assert find_rows(tmp_path, events) == RowsFound(2, 3, 5)
    for block in (raw, windows, events):
        assert rows_fault(tmp_path, block) == ""
        wrong = msgspec.structs.replace(block, rows=block.rows + 1)
        assert f"the catalogue says ({wrong.rows}, " in rows_fault(tmp_path, wrong)
        (tmp_path / block.path).write_bytes(b"PAR1")
        assert "bytes, expected" in rows_fault(tmp_path, block)


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    """A missing file is a fault in words for a check of all blocks, and raised to a reader of one."""
    directory = Directory(tmp_path)
    directory.seal([(3, 10, 0)])
    (raw,) = directory.blocks()
    (tmp_path / raw.path).unlink()
    assert rows_fault(tmp_path, raw)
    with pytest.raises(FileGone):
        find_rows(tmp_path, raw)
