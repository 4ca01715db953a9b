"""Holds a data directory at a moment: files are opened, so that what is deleted meanwhile can still be read.

    segments of the journal ──► state ──► segments once more ──► settings ──► catalogue ──► blocks and series
            opened              copied       opened              copied       copied          opened

The order makes the parts fit, whatever the daemon does in between. Frames that the catalogue does not cover are in the
segments, for those are deleted only once a later catalogue covers them. No cursor of the state is ahead of the
segments. A frame that was acknowledged before the first step is therefore in a block or in a segment.

The newest segment is being written: it counts up to its last whole frame. A block that is merged before it is opened
makes the catalogue be copied again. An open file keeps its content after retention, merges and trims have deleted its
name, and nothing stays behind if this process is killed.
"""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

import google_crc32c
import msgspec

from nissa.catalogue.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.catalogue.sqlite_file import copy_database
from nissa.files.checked_file import MISSING
from nissa.files.destinations import naming
from nissa.files.names import CATALOGUE, DATABASE, DEAD_LETTERS, JOURNAL, STATE, locate
from nissa.ingest.settings import SETTINGS
from nissa.journal.recovery import read_segment, segment_paths
from nissa.journal.segment import HEADER_BYTES
from nissa.model.errors import ConfigInvalid, Damaged, Unavailable
from nissa.store.quarantine import read_quarantine

ATTEMPTS_MAX: Final = 8
RETRY_S: Final = 5
PIECE_BYTES: Final = 1 << 20

Row = BlockRow | SeriesSegment


class HeldFile(msgspec.Struct):
    """A file that can be read until it is closed. bytes, crc: as the catalogue has them; None where it does not."""

    path: str
    file: BinaryIO
    bytes: int | None = None
    crc: int | None = None

    def sum(self) -> tuple[int, int]:
        """(bytes, CRC-32C) of the content."""
        crc = size = 0
        self.file.seek(0)
        while piece := self.file.read(PIECE_BYTES):
            crc = google_crc32c.extend(crc, piece)
            size += len(piece)
        self.file.seek(0)
        return size, crc


class HeldFiles:
    """A directory at a moment. Use as a context; afterwards the files are closed."""

    def __init__(self, directory: Path, scratch: Path, is_there: Callable[[Row], bool]) -> None:
        """scratch: an empty directory for copies of what changes. is_there: files of which nothing is needed.

        Raises: ConfigInvalid where there is no data directory, Damaged (the catalogue), Unavailable.
        """
        self._directory, self._scratch, self._is_there = directory, scratch, is_there
        self._open = contextlib.ExitStack()
        self._settled: set[str] = set()  # paths that are held or known
        self.files: list[HeldFile] = []
        self.known: list[Row] = []  # that are not held, as ``is_there`` said
        self.lost: dict[str, str] = {}  # path -> damage
        self.instance, self.catalogue_format, self.checkpoint_lsn = "", 0, 0
        try:
            self._hold()
        except BaseException:  # raised again; the files must not stay open
            self._open.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _hold(self) -> None:
        segments: dict[Path, BinaryIO] = {}
        self._open_segments(segments)
        self._copy(STATE)
        self._open_segments(segments)
        self._hold_segments(segments)
        self._hold_letters()
        self._hold_whole(SETTINGS)
        self._copy(DATABASE)
        for _ in range(ATTEMPTS_MAX):
            if self._hold_blocks():
                self._hold_whole(CATALOGUE, self._scratch)
                return
        raise Unavailable(f"files were replaced {ATTEMPTS_MAX} times while they were opened", RETRY_S)

    # ---- the journal ----

    def _open_segments(self, opened: dict[Path, BinaryIO]) -> None:
        """Add the segments that are not open yet. What is trimmed meanwhile is in a catalogue that is copied later."""
        room = self._directory / JOURNAL
        for _ in range(ATTEMPTS_MAX):
            paths = segment_paths(room)
            if paths == segment_paths(room):  # else one in the middle may be missing in the list
                for path in paths:
                    if path not in opened and (file := self._opened(path)) is not None:
                        opened[path] = file
                return
        raise Unavailable(f"the journal changed {ATTEMPTS_MAX} times while it was listed", RETRY_S)

    def _hold_segments(self, opened: dict[Path, BinaryIO]) -> None:
        newest = max(opened, default=None)
        for path, file in sorted(opened.items()):
            held = HeldFile(f"{JOURNAL}/{path.name}", file)
            if path == newest:
                self._cut_at(held, _whole_frames_end(path))
            self.files.append(held)

    def _cut_at(self, held: HeldFile, end: int | None) -> None:
        """Go on with a copy of the first ``end`` bytes; None takes all."""
        left = os.fstat(held.file.fileno()).st_size if end is None else end
        path = self._scratch / Path(held.path).name
        held.file.seek(0)
        with naming(path), path.open("wb", buffering=0) as copied:  # a buffer would fail once more when it is closed
            while left > 0 and (piece := self._read(held, min(left, PIECE_BYTES))):
                left -= copied.write(piece)
                held.file.seek(copied.tell())
        held.file = cast("BinaryIO", self._opened(path))

    def _read(self, held: HeldFile, size: int) -> bytes:
        with naming(self._directory / held.path):
            return held.file.read(size)

    # ---- what changes in place ----

    def _copy(self, name: str) -> None:
        """Copy a database, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            copy_database(self._directory / name, self._scratch / name)
            self._hold_whole(name, self._scratch)

    def _hold_whole(self, name: str, room: Path | None = None) -> None:
        """Hold a small file that is replaced, never changed, if it is there."""
        if (file := self._opened((room or self._directory) / name)) is not None:
            self.files.append(HeldFile(name, file))

    def _hold_letters(self) -> None:
        """Dead letters: lines are added at the end meanwhile."""
        room = self._directory / DEAD_LETTERS
        for path in sorted(room.glob("*.jsonl")) if room.is_dir() else ():
            if (file := self._opened(path)) is not None:
                held = HeldFile(f"{DEAD_LETTERS}/{path.name}", file)
                self._cut_at(held, None)
                self.files.append(held)

    # ---- the catalogue and its files ----

    def _hold_blocks(self) -> bool:
        """Copy the catalogue and open what it names. False where a file was merged or expired in between."""
        (self._scratch / CATALOGUE).unlink(missing_ok=True)
        try:
            copy_database(self._directory / CATALOGUE, self._scratch / CATALOGUE)
        except FileNotFoundError:
            raise ConfigInvalid("storage.data_dir", f"{self._directory} has no {CATALOGUE}") from None
        with contextlib.closing(Catalogue.open(self._scratch, readonly=True)) as copy:
            named: list[Row] = [*copy.blocks(), *copy.series_segments()]
            aside = [row.file for row in read_quarantine(copy)]
            self.instance, self.catalogue_format = copy.instance, copy.format
            self.checkpoint_lsn = copy.checkpoint().lsn
            gone = [one.path for one in named if not self._held_row(one)]
        if gone and not self._still_named(gone):
            return False
        self.lost = dict.fromkeys(gone, MISSING)
        paths = {one.path for one in named}
        self.known = [one for one in self.known if one.path in paths]
        self.files = [one for one in self.files if one.crc is None or one.path in paths]  # less what was merged since
        for path in aside:
            self._hold_whole(path)
        return True

    def _held_row(self, row: Row) -> bool:
        """Open a file, unless it is open or there already. False where it is gone."""
        if row.path in self._settled:
            return True
        if self._is_there(row):
            self.known.append(row)
        elif (file := self._opened(locate(self._directory, row.path))) is not None:
            self.files.append(HeldFile(row.path, file, row.bytes, row.crc))
        else:
            return False
        self._settled.add(row.path)
        return True

    def _still_named(self, paths: list[str]) -> bool:
        """True if the catalogue as it is now names a file that is not there: it is lost, and not merged."""
        with contextlib.closing(Catalogue.open(self._directory, readonly=True)) as catalogue:
            named: list[Row] = [*catalogue.blocks(), *catalogue.series_segments()]
        return {one.path for one in named}.issuperset(paths)

    def _opened(self, path: Path) -> BinaryIO | None:
        """An open file; None where there is none. Raises: Unavailable where no more can be opened."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            hint = f" ({len(self.files)} are open: raise ulimit -n)" if error.errno == errno.EMFILE else ""
            raise Unavailable(f"{path}: {error.strerror}{hint}", RETRY_S) from error
        return self._open.enter_context(os.fdopen(fd, "rb"))


def _whole_frames_end(path: Path) -> int | None:
    """Offset behind the last whole frame of a segment; None where it is no longer written, or its header is damaged."""
    end = HEADER_BYTES
    try:
        for frame in read_segment(path):
            end = frame.end
    except (FileNotFoundError, Damaged):
        return None
    return end
