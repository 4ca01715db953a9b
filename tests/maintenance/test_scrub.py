"""Scrubbing: whose turn it is, and that every kind of damage is seen."""

import errno
import os
from pathlib import Path

import msgspec
import pytest
from catalogue.test_catalogue import block, segment

from nissa.catalogue.catalogue import BlockRow, Catalogue, Checkpoint, Seal
from nissa.files.checked_file import CheckedWriter
from nissa.maintenance.scrub import next_turn, note_turn, read_back, read_turns
from nissa.model.slices import run_whole
from nissa.model.units import MIB


def written(path: Path, size: int) -> BlockRow:
    """A block whose file is there."""
    (path / "blocks").mkdir(exist_ok=True)
    row = block(1)
    writer = CheckedWriter(path / row.path)
    writer.write(os.urandom(size))
    seal = writer.finish()
    return msgspec.structs.replace(row, bytes=seal.bytes, crc=seal.crc, page_crcs=seal.page_crcs)


def test_every_piece_of_a_sound_file_is_read(tmp_path: Path) -> None:
    """Sizes of pieces are yielded as they are read, and add up to the file."""
    row = written(tmp_path, 2 * MIB + 5)
    assert list(read_back(tmp_path, row)) == [MIB, MIB, 5]
    assert run_whole(read_back(tmp_path, row)) == ""


def test_each_damage_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flipped bit anywhere, a cut, an extension, a symlink, a missing file, a disk that refuses."""
    row = written(tmp_path, MIB + 1)
    path = tmp_path / row.path
    sound = path.read_bytes()
    for at in (0, MIB - 1, MIB):
        data = bytearray(sound)
        data[at] ^= 0x10
        path.write_bytes(data)
        assert "CRC-32C" in run_whole(read_back(tmp_path, row))
    for data in (sound[:-1], sound + b"\0"):
        path.write_bytes(data)
        assert "bytes, expected" in run_whole(read_back(tmp_path, row))
    path.write_bytes(sound)
    with monkeypatch.context() as patch:

        def pread(*_: object) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(os, "pread", pread)
        assert run_whole(read_back(tmp_path, row)) == "it cannot be read: Input/output error"
    path.rename(tmp_path / "elsewhere")
    assert run_whole(read_back(tmp_path, row)) == "the file is missing"
    path.symlink_to(tmp_path / "elsewhere")
    assert "symbolic links" in run_whole(read_back(tmp_path, row))
    assert "no file name of Nissa" in run_whole(read_back(tmp_path, msgspec.structs.replace(row, path="../x")))


def test_a_file_that_is_deleted_meanwhile_is_read_to_its_end(tmp_path: Path) -> None:
    """The file is kept open; a reading that is ended closes it."""
    row = written(tmp_path, MIB + 5)
    reading, other = read_back(tmp_path, row), read_back(tmp_path, row)
    assert (next(reading), next(other)) == (MIB, MIB)
    (tmp_path / row.path).unlink()
    assert run_whole(reading) == ""
    assert row.path in open_files()
    other.close()
    assert row.path not in open_files()


def open_files() -> str:
    """Paths of all files that this process has open."""
    return " ".join(str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink())


def test_the_longest_unread_has_its_turn(tmp_path: Path) -> None:
    """Blocks count as read when written, segments never; a time to come is no reading; turns outlive the process."""
    catalogue = Catalogue.open(tmp_path)
    blocks = [msgspec.structs.replace(block(number), created_ms=1_000 * number) for number in (1, 2)]
    catalogue.commit_seal(Seal(Checkpoint(1), tuple(blocks), segment(3, 0)))
    files = [*blocks, segment(3, 0)]
    assert next_turn([], {}, 5_000) is None
    assert next_turn(files, read_turns(catalogue), 5_000) == (files[2], 5_000)
    note_turn(catalogue, files[2].path, 4_000)
    assert next_turn(files, read_turns(catalogue), 5_000) == (files[0], 4_000)
    note_turn(catalogue, files[0].path, 9_000)
    assert next_turn(files, read_turns(catalogue), 5_000) == (files[0], 5_000)
    assert next_turn(files, read_turns(catalogue), 9_000) == (files[1], 7_000)
    catalogue.replace_blocks(blocks[:1], ())
    assert read_turns(catalogue) == {files[2].path: 4_000}
    catalogue.close()
