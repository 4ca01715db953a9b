"""Footers: the row groups that a query has to read, and errors for bytes that are no footer."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from nissa.catalogue.catalogue import BlockRow
from nissa.files.checked_file import FileGone, FileSeal
from nissa.files.names import BLOCKS, locate
from nissa.model.errors import Damaged
from nissa.store.block_footer import read_footer
from nissa.store.blocks import GROUP_ROWS, BlockWriter
from oracle.directory import batch_of

SERIES = 7
ROUNDS = GROUP_ROWS // 2


@pytest.fixture(name="block")
def _block(tmp_path: Path) -> BlockRow:
    """Seven series in four row groups; series 10 has no samples."""
    (tmp_path / BLOCKS).mkdir()
    writer = BlockWriter(tmp_path, 1, level=0, created_ms=5)
    ids = [one + (one >= 3) * 10 for one in range(SERIES)]
    writer.write(batch_of([(one, at, 0) for one in ids for at in range(ROUNDS)]))
    return writer.finish(1, 1)


def test_groups_are_those_that_may_hold_an_answer(tmp_path: Path, block: BlockRow) -> None:
    """Every group with rows of the question is named, none whose ranges exclude it."""
    footer = read_footer(str(locate(tmp_path, block.path)), block.seal)
    ranges = list(zip(footer.series_min, footer.series_max, footer.time_min, footer.time_max, strict=True))
    assert len(ranges) >= 3
    for low, high in itertools.combinations_with_replacement([0, 1, 2, 5, 13, 14, 16, 99], 2):
        for start_ms, end_ms in [(0, ROUNDS), (-5, 1), (ROUNDS - 1, ROUNDS), (ROUNDS, ROUNDS + 9)]:
            wanted = [
                group
                for group, (first, last, earliest, latest) in enumerate(ranges)
                if any(first <= one <= last for one in {low, high}) and earliest < end_ms and latest >= start_ms
            ]
            series = np.array(sorted({low, high}), np.uint32)
            assert footer.groups(series, start_ms, end_ms).tolist() == wanted
    assert footer.groups(None, 0, ROUNDS).tolist() == list(range(len(ranges)))


def test_a_footer_is_parsed_once(tmp_path: Path, block: BlockRow) -> None:
    """Asked again it is the same object."""
    path = str(locate(tmp_path, block.path))
    assert read_footer(path, block.seal) is read_footer(path, block.seal)


def test_what_is_no_block_is_damage(tmp_path: Path, block: BlockRow) -> None:
    """Changed bytes and another size are damage, and a missing file is FileGone."""
    path = locate(tmp_path, block.path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] + bytes(30))
    with pytest.raises(Damaged):
        read_footer(str(path), block.seal)
    with pytest.raises(Damaged):
        read_footer(str(path), FileSeal(block.seal.bytes + 1, block.seal.crc, block.seal.page_crcs))
    path.unlink()
    with pytest.raises(FileGone):
        read_footer(str(path), block.seal)
