"""Scrubbing: whose turn it is, and that every kind of damage is seen."""

import errno
import os
from pathlib import Path

import msgspec
import pytest
from store.test_catalogue import block, segment

from nissa.model.errors import Unavailable
from nissa.model.units import MIB
from nissa.store.catalogue import BlockRow, Catalogue, Checkpoint, Seal
from nissa.store.checked_file import CheckedWriter
from nissa.store.scrub import next_turn, note_turn, read_back, read_turns


def written(path: Path, size: int) -> BlockRow:
    """A block whose file is there."""
    (path / "blocks").mkdir(exist_ok=True)
    row = block(1)
    writer = CheckedWriter(path / row.path)
    writer.write(os.urandom(size))
    seal = writer.finish()
    return msgspec.structs.replace(row, bytes=seal.bytes, crc=seal.crc, page_crcs=seal.page_crcs)


def test_every_piece_of_a_sound_file_is_read(tmp_path: Path) -> None:
    """The pieces are told as they are read, and add up to the file."""
    pieces: list[int] = []
    assert read_back(tmp_path, written(tmp_path, 2 * MIB + 5), pieces.append) == ""
    assert pieces == [MIB, MIB, 5]


def test_each_damage_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flipped bit anywhere, a cut, an extension, a symlink, a missing file, a disk that refuses."""
    row = written(tmp_path, MIB + 1)
    path = tmp_path / row.path
    sound = path.read_bytes()
    for at in (0, MIB - 1, MIB):
        data = bytearray(sound)
        data[at] ^= 0x10
        path.write_bytes(data)
        assert "CRC-32C" in read_back(tmp_path, row, lambda _: None)
    for data in (sound[:-1], sound + b"\0"):
        path.write_bytes(data)
        assert "bytes, expected" in read_back(tmp_path, row, lambda _: None)
    path.write_bytes(sound)
    with monkeypatch.context() as patch:

        def pread(*_: object) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(os, "pread", pread)
        assert read_back(tmp_path, row, lambda _: None) == "it cannot be read: Input/output error"
    path.rename(tmp_path / "elsewhere")
    assert read_back(tmp_path, row, lambda _: None) == "the file is missing"
    path.symlink_to(tmp_path / "elsewhere")
    assert "symbolic links" in read_back(tmp_path, row, lambda _: None)
    assert "never wrote" in read_back(tmp_path, msgspec.structs.replace(row, path="../x"), lambda _: None)


def test_reading_can_be_ended(tmp_path: Path) -> None:
    """What is raised between two pieces comes out."""

    def close(_: int) -> None:
        raise Unavailable("closing")

    with pytest.raises(Unavailable):
        read_back(tmp_path, written(tmp_path, 5), close)


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
