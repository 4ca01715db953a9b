"""--output: files appear whole and keep their mode, everything else is written to as it is."""

import os
import threading
from pathlib import Path
from typing import IO

import pytest

from nissa.cli.output import write_output


def hello(file: IO[bytes]) -> None:
    """Some bytes."""
    file.write(b"hello")


def broken(file: IO[bytes]) -> None:
    """Some bytes, then a fault."""
    file.write(b"he")
    raise OSError("broken")


def test_a_file_keeps_its_mode_and_its_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """A write that fails leaves the old content."""
    output = tmp_path / "out"
    output.write_bytes(b"old")
    output.chmod(0o600)
    with pytest.raises(OSError, match="broken"):
        write_output(broken, output)
    assert output.read_bytes() == b"old"
    write_output(hello, output)
    assert output.read_bytes() == b"hello"
    assert output.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    """The target may exist or not."""
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to("target")
    for _ in range(2):
        write_output(hello, link)
        assert link.is_symlink()
        assert target.read_bytes() == b"hello"


def test_a_fifo_is_written_to(tmp_path: Path) -> None:
    """Its reader gets the bytes, and it stays a FIFO."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=write_output, args=(hello, fifo))
    writer.start()
    assert fifo.read_bytes() == b"hello"
    writer.join()
    assert fifo.is_fifo()


def test_a_device_is_written_to() -> None:
    """Nothing is put in its place."""
    write_output(hello, Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
