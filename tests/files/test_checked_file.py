"""Files under checksums: nothing of a changed byte is ever handed out."""

import os
import random
from pathlib import Path

import pytest

from nissa.files.checked_file import (
    HELD_BYTES,
    PAGE_BYTES,
    CheckedReader,
    CheckedWriter,
    FileGone,
    FileSeal,
    file_crc,
)
from nissa.model.errors import Damaged


def write(path: Path, data: bytes, step: int = 10_000) -> FileSeal:
    """Write ``data`` in pieces."""
    file = CheckedWriter(path)
    for at in range(0, len(data), step):
        file.write(data[at : at + step])
    return file.finish()


def test_a_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    """Before, it has another one, which no glob for Parquet meets; nothing stays of one that is given up."""
    file = CheckedWriter(tmp_path / "one.parquet")
    file.write(b"half")
    assert [path.name for path in tmp_path.iterdir()] == ["one.parquet.unfinished"]
    file.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["one.parquet"]
    with pytest.raises(FileExistsError):
        CheckedWriter(tmp_path / "one.parquet")
    CheckedWriter(tmp_path / "two.parquet").discard()
    assert [path.name for path in tmp_path.iterdir()] == ["one.parquet"]


SIZES = [0, 1, PAGE_BYTES - 1, PAGE_BYTES, PAGE_BYTES + 1, 3 * PAGE_BYTES + 77, HELD_BYTES, 2 * HELD_BYTES + 7_777]


@pytest.mark.parametrize("size", SIZES)
def test_reads_back_any_part(tmp_path: Path, size: int) -> None:
    """Any range of a file of any size reads back as written, and the checksum is that of the bytes on disk."""
    data = random.Random(size).randbytes(size)
    seal = write(tmp_path / "file", data)
    assert (seal.bytes, seal.crc) == file_crc(tmp_path / "file")
    chance = random.Random(5)
    with CheckedReader(tmp_path / "file", seal) as file:
        assert file.read() == data
        for _ in range(50):
            at, count = chance.randint(0, size), chance.randint(0, size + 9)
            assert file.seek(at) == at
            assert file.read(count) == data[at : at + count]
            assert file.tell() == min(at + count, size)
        assert file.seek(-size, os.SEEK_END) == 0


def test_pages_just_read_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pieces of a few pages cost one read of the file; pages read in great number are not kept in memory."""
    data = random.Random(3).randbytes(10 * PAGE_BYTES)
    seal = write(tmp_path / "file", data)
    reads = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda *arguments: reads.append(arguments) or real(*arguments))
    with CheckedReader(tmp_path / "file", seal) as file:
        for at in range(100, 2 * PAGE_BYTES - 1_000, 1_000):
            file.seek(at)
            assert file.read(1_000) == data[at : at + 1_000]
        assert len(reads) <= 3
        for _ in range(2):
            file.seek(5)
            assert file.read(9 * PAGE_BYTES) == data[5 : 9 * PAGE_BYTES + 5]
        assert len(reads) <= 5


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """A flip in a page is reported as damage when the page is read; the other pages stay readable."""
    data = bytes(2 * PAGE_BYTES + 100)
    seal = write(tmp_path / "file", data)
    chance = random.Random(11)
    for _ in range(200):
        bit = chance.randrange(8 * len(data))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / "file").write_bytes(changed)
        with CheckedReader(tmp_path / "file", seal) as file:
            for page in range(3):
                file.seek(page * PAGE_BYTES)
                if page == bit // 8 // PAGE_BYTES:
                    with pytest.raises(Damaged, match=f"page {page} at byte"):
                        file.read(10)
                    assert file.damage is not None
                else:
                    assert file.read(10) == bytes(10)


def test_other_sizes_and_missing_files(tmp_path: Path) -> None:
    """A shorter or longer file is damaged; a missing one is gone, which a retry may mend; a link is not followed."""
    path = tmp_path / "file"
    seal = write(path, bytes(100))
    for size in (99, 101, 0):
        path.write_bytes(bytes(size))
        with pytest.raises(Damaged, match=f"it has {size} bytes, expected 100"):
            CheckedReader(path, seal)
    path.rename(tmp_path / "other")
    with pytest.raises(FileGone):
        CheckedReader(path, seal)
    path.symlink_to(tmp_path / "other")
    with pytest.raises(Damaged, match="cannot be opened"):
        CheckedReader(path, seal)


def test_a_writer_never_overwrites_and_can_give_up(tmp_path: Path) -> None:
    """An existing file is refused; a discarded one is gone, whenever it is discarded."""
    write(tmp_path / "file", b"1")
    with pytest.raises(FileExistsError):
        CheckedWriter(tmp_path / "file")
    for finished in (False, True):
        file = CheckedWriter(tmp_path / "new")
        file.write(b"2")
        if finished:
            file.finish()
        file.discard()
        file.discard()
        assert not (tmp_path / "new").exists()


def test_a_read_error_is_damage(tmp_path: Path) -> None:
    """A page that cannot be read is reported as damage of the file."""
    seal = write(tmp_path / "file", bytes(PAGE_BYTES * 2))
    file = CheckedReader(tmp_path / "file", seal)
    os.truncate(tmp_path / "file", PAGE_BYTES)
    file.seek(PAGE_BYTES)
    with pytest.raises(Damaged, match="it ends at byte"):
        file.read(1)
    file.close()
