"""Scrubbing: reads every file back from the disk in turn, and compares it with its checksum.

    turn      the file whose last reading is longest ago; a block counts as read when it was written
    reading   piece by piece, past the page cache: what is in memory says nothing about the disk

When a file was read stands in the catalogue, so that restarts do not begin anew. ``scrubber.py`` sets the pace and
decides what becomes of a damaged file.
"""

import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import google_crc32c

from nissa.catalogue.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.files.checked_file import MISSING
from nissa.files.names import locate
from nissa.model.errors import Damaged
from nissa.model.units import MIB

PIECE_BYTES = MIB
ScrubbedFile = BlockRow | SeriesSegment


def read_turns(catalogue: Catalogue) -> dict[str, int]:
    """Times of the last reading of each file: path -> wall clock. Forgets files that are gone."""
    with catalogue.transaction("scrub") as db:
        db.execute(
            "DELETE FROM scrub WHERE path NOT IN (SELECT path FROM block UNION ALL SELECT path FROM series_segment)"
        )
    return dict(catalogue.select("SELECT path, checked_ms FROM scrub"))


def note_turn(catalogue: Catalogue, path: str, now_ms: int) -> None:
    """Record that a file was read back and verified.

    catalogue: where. path: of the file. now_ms: Unix milliseconds.
    """
    with catalogue.transaction("scrub") as db:
        db.execute("REPLACE INTO scrub (path, checked_ms) VALUES (?, ?)", (path, now_ms))


def read_ms(file: ScrubbedFile, turns: Mapping[str, int], now_ms: int) -> int:
    """Return the time at which a file was last verified, Unix milliseconds; 0 if unknown or in the future.

    file: the file. turns: verifications by path. now_ms: Unix milliseconds.
    """
    known_ms = turns.get(file.path, file.created_ms if isinstance(file, BlockRow) else 0)
    return known_ms if known_ms <= now_ms else 0


def next_turn(files: Sequence[ScrubbedFile], turns: Mapping[str, int], now_ms: int) -> tuple[ScrubbedFile, int] | None:
    """Return the file to verify next, and the time since its last verification; None without files.

    files: all. turns: verifications by path. now_ms: Unix milliseconds.
    """
    chosen = min(files, key=lambda file: read_ms(file, turns, now_ms), default=None)
    return None if chosen is None else (chosen, now_ms - read_ms(chosen, turns, now_ms))


def read_back(directory: Path, file: ScrubbedFile) -> Generator[int, None, str]:
    """Describes the damage of a file on disk; empty where it is sound. Yields the bytes of each piece it has read.

    The file is opened at the first step, and closed with the generator; one that is deleted meanwhile is read all the
    same.
    """
    try:
        path = locate(directory, file.path)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return MISSING
    except (OSError, Damaged) as error:
        return str(error)
    try:
        return (yield from _compare(fd, file))
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    finally:
        os.close(fd)


def _compare(fd: int, file: ScrubbedFile) -> Generator[int, None, str]:
    size = os.fstat(fd).st_size
    if size != file.bytes:
        return f"it has {size} bytes, expected {file.bytes}"
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    crc = at = 0
    while data := os.pread(fd, PIECE_BYTES, at):
        crc = google_crc32c.extend(crc, data)
        os.posix_fadvise(fd, at, len(data), os.POSIX_FADV_DONTNEED)
        at += len(data)
        yield len(data)
    return "" if crc == file.crc and at == size else f"it has CRC-32C {crc:08x}, expected {file.crc:08x}"
