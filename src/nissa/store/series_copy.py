"""Second copies of series segments, because the labels of samples are stored nowhere else.

    series/series-…1.parquet   ──┐ the same bytes, under the same checksums of the catalogue
    copies/series-…1.parquet   ──┘ whichever is damaged or missing is written again from the other

Directories of earlier versions get their copies from a running daemon (``maintenance/scrubber.py``).
"""

import os
from pathlib import Path

from nissa.files.checked_file import FileSeal, file_crc, sync_directory
from nissa.files.names import UNFINISHED, copy_path, locate
from nissa.model.errors import Damaged

PIECE_BYTES = 1 << 20


def write_copy(directory: Path, path: str) -> None:
    """Write and sync the second copy of the segment at ``path``. Raises: OSError."""
    copy_file(locate(directory, path), locate(directory, copy_path(path)))


def delete_segment(directory: Path, path: str) -> None:
    """Delete a segment and its copy."""
    for one in (path, copy_path(path)):
        locate(directory, one).unlink(missing_ok=True)


def mend_segment(directory: Path, path: str, seal: FileSeal) -> bool:
    """Restore the segment from its copy, or its copy from it; False if both are damaged.

    directory: the data directory. path: of the segment. seal: its checksums. Raises: OSError.
    """
    places = [locate(directory, one) for one in (path, copy_path(path))]
    sound = [is_sound(place, seal) for place in places]
    if not any(sound):
        return False
    for place, whole in zip(places, sound, strict=True):
        if not whole:
            copy_file(places[sound.index(True)], place)
    return True


def is_sound(path: Path, seal: FileSeal) -> bool:
    """True if the file has the bytes that it was sealed with."""
    try:
        return file_crc(path) == (seal.bytes, seal.crc)
    except (OSError, Damaged):
        return False


def copy_file(source: Path, target: Path) -> None:
    """Put the bytes of ``source`` at ``target``, which is whole or as it was whenever power is cut. Raises: OSError."""
    target.parent.mkdir(mode=0o750, exist_ok=True)
    fresh = target.with_name(target.name + UNFINISHED)
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        with os.fdopen(fd, "wb") as written, source.open("rb") as read:
            while piece := read.read(PIECE_BYTES):
                written.write(piece)
            written.flush()
            os.fsync(fd)
        fresh.rename(target)
    finally:
        fresh.unlink(missing_ok=True)
    sync_directory(target.parent)
