"""Blocks whose file is not there: merged meanwhile, or missing."""

from pathlib import Path

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.checked_file import MISSING
from nissa.model.slices import run_whole
from nissa.store.compaction import merge_blocks
from nissa.store.gone import missing_row, present_blocks, split_blocks
from oracle.directory import Directory


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    """A file that is not there and has a row is missing; the row of the answer has its times, series and frames."""
    directory = Directory(tmp_path)
    (first,) = directory.seal([(1, 5, 0), (3, 9, 0)]).blocks
    (second,) = directory.seal([(1, 20, 0)]).blocks
    assert present_blocks(tmp_path, directory.catalogue).blocks == (first, second)
    (tmp_path / first.path).unlink()
    present = present_blocks(tmp_path, directory.catalogue)
    assert present.blocks == (second,)
    (row,) = present.missing
    assert row == missing_row(first)
    assert (row.path, row.rows, row.min_ms, row.max_ms, row.damage) == (first.path, 2, 5, 9, MISSING)
    assert split_blocks((first, second), {second.id: row}).blocks == (first,)


def test_what_was_merged_meanwhile_is_not_missing(tmp_path: Path) -> None:
    """Blocks that lose row and file between two looks are found in what took their place."""
    directory = Directory(tmp_path)
    for ts_ms in (1, 2):
        directory.seal([(0, ts_ms, 0)])

    class Late(Catalogue):
        """A reader that lists the blocks just before they are merged."""

        listed = 0

        def blocks(
            self, kind: str | None = None, start_ms: int | None = None, end_ms: int | None = None
        ) -> list[BlockRow]:
            rows = super().blocks(kind, start_ms, end_ms)
            Late.listed += 1
            if Late.listed == 1:
                run_whole(merge_blocks(tmp_path, directory.catalogue, directory.blocks(), 1))
            return rows

    reader = Late.open(tmp_path, readonly=True)
    present = present_blocks(tmp_path, reader)
    reader.close()
    assert present.blocks == tuple(directory.blocks())
    assert (len(present.blocks), present.missing) == (1, ())
