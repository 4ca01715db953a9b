"""Scrubbing: every file is read back from the disk before its turn comes round again, and compared with its checksum.

    turn      the file whose last reading is longest ago; a block counts as read when it was written
    reading   piece by piece, past the page cache: what is in memory says nothing about the disk

When a file was read stands in the catalogue, so that restarts do not begin anew. ``ingest/upkeep.py`` sets the pace and
decides what becomes of a damaged file.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import google_crc32c

from nissa.model.errors import Damaged
from nissa.model.units import MIB
from nissa.store.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.store.names import locate

PIECE_BYTES = MIB
ScrubbedFile = BlockRow | SeriesSegment


def read_turns(catalogue: Catalogue) -> dict[str, int]:
    """When each file was last read back: path -> wall clock. Files that are gone are forgotten."""
    with catalogue.transaction("scrub") as db:
        db.execute(
            "DELETE FROM scrub WHERE path NOT IN (SELECT path FROM block UNION ALL SELECT path FROM series_segment)"
        )
    return dict(catalogue.select("SELECT path, checked_ms FROM scrub"))


def note_turn(catalogue: Catalogue, path: str, now_ms: int) -> None:
    """Remember that a file was read back and found sound."""
    with catalogue.transaction("scrub") as db:
        db.execute("REPLACE INTO scrub (path, checked_ms) VALUES (?, ?)", (path, now_ms))


def read_ms(file: ScrubbedFile, turns: Mapping[str, int], now_ms: int) -> int:
    """When a file was last known to be sound; 0 where nobody can tell, as for times to come."""
    known_ms = turns.get(file.path, file.created_ms if isinstance(file, BlockRow) else 0)
    return known_ms if known_ms <= now_ms else 0


def next_turn(files: Sequence[ScrubbedFile], turns: Mapping[str, int], now_ms: int) -> tuple[ScrubbedFile, int] | None:
    """The file whose turn it is, and how long ago it was read; None without files."""
    chosen = min(files, key=lambda file: read_ms(file, turns, now_ms), default=None)
    return None if chosen is None else (chosen, now_ms - read_ms(chosen, turns, now_ms))


def read_back(directory: Path, file: ScrubbedFile, between: Callable[[int], None]) -> str:
    """What is wrong with a file as it lies on the disk; empty where it is sound.

    between: told of the bytes of each piece that was read; what it raises ends the reading.
    """
    try:
        path = locate(directory, file.path)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return "the file is missing"
    except (OSError, Damaged) as error:
        return str(error)
    try:
        return _compare(fd, file, between)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    finally:
        os.close(fd)


def _compare(fd: int, file: ScrubbedFile, between: Callable[[int], None]) -> str:
    size = os.fstat(fd).st_size
    if size != file.bytes:
        return f"it has {size} bytes, expected {file.bytes}"
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    crc = at = 0
    while data := os.pread(fd, PIECE_BYTES, at):
        crc = google_crc32c.extend(crc, data)
        os.posix_fadvise(fd, at, len(data), os.POSIX_FADV_DONTNEED)
        at += len(data)
        between(len(data))
    return "" if crc == file.crc and at == size else f"it has CRC-32C {crc:08x}, expected {file.crc:08x}"
