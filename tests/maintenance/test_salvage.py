"""A damaged block put aside: its sound rows are served by another block, the lost ones are counted."""

from pathlib import Path

import pytest
from pyarrow import parquet as pq

from nissa.files.checked_file import MISSING
from nissa.maintenance.salvage import quarantine_block
from nissa.model.slices import run_whole
from nissa.store import blocks
from nissa.store.quarantine import read_quarantine
from oracle.directory import Directory

ROWS = [(series, at, 0) for series in range(4) for at in range(10)]


def test_sound_rows_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sound one of two row groups stays."""
    monkeypatch.setattr(blocks, "GROUP_ROWS", 20)
    directory = Directory(tmp_path)
    directory.seal(ROWS)
    (block,) = directory.blocks()
    groups = pq.read_metadata(tmp_path / block.path)
    assert groups.num_row_groups == 2
    row, saved = run_whole(quarantine_block(tmp_path, directory.catalogue, block, MISSING, 77))
    assert read_quarantine(directory.catalogue) == [row]
    assert saved is not None
    assert directory.blocks() == [saved]
    assert (row.rows, saved.rows) == (0, 40)  # nothing is damaged after all
    assert directory.export() == ROWS


def test_what_cannot_be_opened_is_lost(tmp_path: Path) -> None:
    """All of its rows are."""
    directory = Directory(tmp_path)
    directory.seal(ROWS)
    (block,) = directory.blocks()
    (tmp_path / block.path).write_bytes(b"")
    row, saved = run_whole(quarantine_block(tmp_path, directory.catalogue, block, "hit", 77))
    assert (row.rows, saved, directory.blocks()) == (40, None, [])
