"""One process per directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from nissa.files.lock import LOCK_NAME, DirectoryLock
from nissa.model.errors import DirectoryLocked

HOLD = """
import sys
from pathlib import Path
from nissa.files.lock import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
print(lock.epoch, flush=True)
sys.stdin.read()
"""


def holder(directory: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.epoch = int(process.stdout.readline())  # type: ignore[attr-defined]
    return process


def test_a_second_process_is_refused_naming_the_first(tmp_path: Path) -> None:
    """A second process is refused, naming the one that serves the directory; after kill -9 it may start at once."""
    process = holder(tmp_path)
    for _ in range(3):
        with pytest.raises(DirectoryLocked, match=f"in use by process {process.pid}"):
            DirectoryLock(tmp_path)
    process.kill()
    process.wait()
    with DirectoryLock(tmp_path) as lock:
        assert lock.epoch == process.epoch + 1


def test_a_second_lock_in_one_process_is_refused(tmp_path: Path) -> None:
    """Two engines of one process cannot share a directory either."""
    with DirectoryLock(tmp_path), pytest.raises(DirectoryLocked):
        DirectoryLock(tmp_path)
    DirectoryLock(tmp_path).close()


def test_the_epoch_rises_with_every_taking(tmp_path: Path) -> None:
    """Each holder has a larger epoch than the one before, over garbage in the file too."""
    for epoch in range(1, 5):
        with DirectoryLock(tmp_path / "new" / "directory") as lock:
            assert lock.epoch == epoch
            assert lock.still_held()
    (tmp_path / LOCK_NAME).write_bytes(b"\xff" * 200)
    with DirectoryLock(tmp_path) as lock:
        assert lock.epoch == 1
        assert lock.still_held()


def test_a_lock_file_that_was_deleted_or_replaced_is_found_out(tmp_path: Path) -> None:
    """After LOCK is deleted, ``still_held`` of the holder is False, also when another process has taken it."""
    with DirectoryLock(tmp_path) as first:
        (tmp_path / LOCK_NAME).unlink()
        assert not first.still_held()
        with DirectoryLock(tmp_path) as second:
            assert second.still_held()
            assert not first.still_held()


def test_close_twice_is_harmless(tmp_path: Path) -> None:
    """A lock given back stays given back."""
    lock = DirectoryLock(tmp_path)
    lock.close()
    lock.close()
    assert not lock.still_held()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    """LOCK as a symbolic link is refused and its target is not written."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / LOCK_NAME).symlink_to(target)
    with pytest.raises(OSError, match="LOCK"):
        DirectoryLock(tmp_path)
    assert target.read_bytes() == b"precious"
