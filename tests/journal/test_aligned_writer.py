"""The block writer: any buffers, appended in any groups, stand in the file one behind the other."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nissa.journal.aligned_writer import BLOCK_BYTES, DIRECT, STAGING_BYTES, AlignedWriter

SIZES = st.sampled_from([0, 1, 7, 64, 511, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
LARGE = st.sampled_from([STAGING_BYTES - 1, STAGING_BYTES, STAGING_BYTES + 1, 2 * STAGING_BYTES + 5])


def opened(path: Path, flags: int) -> int:
    """A new file, written directly where flags say so and the file system can."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | flags)
    except OSError:
        pytest.skip("this file system writes nothing directly")


@settings(max_examples=40, deadline=None)
@given(groups=st.lists(st.lists(st.one_of(SIZES, SIZES, SIZES, LARGE), min_size=1, max_size=5), max_size=5))
@pytest.mark.parametrize("flags", [0, DIRECT], ids=["cached", "direct"])
def test_what_is_appended_stands_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, flags: int, groups: list[list[int]]
) -> None:
    """After every append the file holds all buffers in order and zeros behind them, and their end is returned."""
    path = tmp_path_factory.mktemp("blocks") / "file"
    fd, writer, expected = opened(path, flags), AlignedWriter(), b""
    for number, sizes in enumerate(groups, 1):
        buffers = [bytes([number * 16 + place]) * size for place, size in enumerate(sizes)]
        expected += b"".join(buffers)
        assert writer.append(fd, buffers) == len(expected)
        written = path.read_bytes()
        assert written[: len(expected)] == expected
        assert not any(written[len(expected) :])
        assert len(written) % BLOCK_BYTES == 0
    os.close(fd)


def test_another_file_begins_anew(tmp_path: Path) -> None:
    """After ``restart`` nothing of the last file's unfinished block goes into the next one."""
    writer, first, second = AlignedWriter(), opened(tmp_path / "1", 0), opened(tmp_path / "2", 0)
    writer.append(first, [b"one"])
    writer.restart()
    assert writer.append(second, [b"second"]) == 6
    assert (tmp_path / "2").read_bytes().rstrip(b"\0") == b"second"
    os.close(first)
    os.close(second)


def test_what_stands_in_an_unfinished_block_is_written_again_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write that touches bytes appended before carries those bytes unchanged: a cut in it harms none of them."""
    writes: list[tuple[int, bytes]] = []
    real = os.pwritev

    def noted(fd: int, buffers: list[memoryview], offset: int) -> int:
        writes.append((offset, bytes(buffers[0])))
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "pwritev", noted)
    fd, writer, stands = opened(tmp_path / "file", 0), AlignedWriter(), b""
    for number in range(1, 60):
        writes.clear()
        buffer = bytes([number]) * (number * 37)
        writer.append(fd, [buffer])
        assert all(
            data[: max(len(stands) - offset, 0)] == stands[offset : offset + len(data)] for offset, data in writes
        )
        assert all(len(stands) - offset < BLOCK_BYTES for offset, _ in writes)
        stands += buffer
    os.close(fd)
