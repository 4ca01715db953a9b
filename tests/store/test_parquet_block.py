"""Files of blocks while they are read: the number open, and reading of deleted ones."""

from pathlib import Path

import msgspec
import pytest

from nissa.files.checked_file import FileGone
from nissa.model.errors import Damaged
from nissa.store import blocks
from nissa.store.blocks import OpenBlock
from nissa.store.parquet_block import OPEN_FILES_MAX, OpenFiles
from nissa.store.read import stream_samples
from oracle.columns import Sample, resolve
from oracle.directory import ALWAYS, Directory, samples_of

GROUP_ROWS = 8


def files_open(directory: Path) -> int:
    """Number of open descriptors of files in the directory."""
    found = 0
    for one in Path("/proc/self/fd").iterdir():
        try:
            found += str(directory) in str(one.readlink())
        except FileNotFoundError:  # the listing's own
            continue
    return found


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """Blocks of this directory have row groups of 8 rows."""
    monkeypatch.setattr(blocks, "GROUP_ROWS", GROUP_ROWS)
    return Directory(tmp_path / "data")


def sealed(directory: Directory, count: int, series: int = 30) -> list[Sample]:
    """Seal so many blocks, each with a row of every series; returns all rows."""
    samples = [[(one, number, 7 * number) for one in range(series)] for number in range(count)]
    for rows in samples:
        directory.seal(rows)
    return [one for rows in samples for one in rows]


def read_round(opened: list[OpenBlock], group: int) -> list[int]:
    """The times of one row group of each block."""
    return [int(block.read_group(group, None, *ALWAYS).ts_ms[0]) for block in opened]


def test_the_file_used_longest_ago_is_closed(directory: Directory) -> None:
    """No more files are open than may be, whatever is read in turn, and none afterwards."""
    sealed(directory, 5)
    files = OpenFiles(2)
    opened = [OpenBlock(directory.path, block, files) for block in directory.blocks()]
    base = files_open(directory.path) - 2
    for group in (0, 1, 2, 0):
        assert read_round(opened, group) == [0, 1, 2, 3, 4]
        assert files_open(directory.path) == base + 2
    files.close()
    assert files_open(directory.path) == base


def test_a_deleted_file_is_readable_while_it_is_open(directory: Directory) -> None:
    """A deleted file that is open can be read, and one that is closed is gone."""
    sealed(directory, 2)
    files = OpenFiles(1)
    first, second = (OpenBlock(directory.path, block, files) for block in directory.blocks())
    for block in directory.blocks():
        (directory.path / block.path).unlink()
    assert len(first.read_group(0, None, *ALWAYS)) == GROUP_ROWS
    with pytest.raises(FileGone):
        second.read_group(0, None, *ALWAYS)
    assert len(first.read_group(1, None, *ALWAYS)) == GROUP_ROWS
    files.close()
    with pytest.raises(FileGone):
        first.read_group(1, None, *ALWAYS)


def test_many_blocks_are_read_with_few_descriptors(directory: Directory) -> None:
    """A stream over more blocks than files may be open never has more, and gives every row in order."""
    samples = sealed(directory, OPEN_FILES_MAX + 20)
    base = files_open(directory.path)
    found: list[Sample] = []
    most = 0
    for batch in stream_samples(directory.snapshot(), None, *ALWAYS, 100):
        found += samples_of(batch)
        most = max(most, files_open(directory.path) - base)
    assert found == resolve(samples)[0]
    assert most == OPEN_FILES_MAX
    assert files_open(directory.path) == base


def test_a_damaged_block_leaves_nothing_open(directory: Directory) -> None:
    """A file that cannot be read is closed again."""
    sealed(directory, 1)
    (block,) = directory.blocks()
    base = files_open(directory.path)
    with pytest.raises(Damaged, match="CRC-32C"):
        OpenBlock(directory.path, msgspec.structs.replace(block, page_crcs=bytes(len(block.page_crcs))))
    assert files_open(directory.path) == base
