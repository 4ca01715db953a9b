"""Verifies a data directory: all bytes of all files in the catalogue, and the catalogue itself.

For each block and series segment: its size and checksum, whether it can be read, whether its rows come in order, and
whether their number and range are those of the catalogue. For the series table: no overlap, no id beyond the
checkpoint, and all series that have rows in blocks. Orphaned files are reported too; they are harmless. ``recovery.py``
verifies the journal.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from nissa.catalogue.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.catalogue.state import check_state
from nissa.files.checked_file import MISSING, FileGone, FileSeal, file_crc
from nissa.files.names import EVENTS_KIND, copy_path, is_unfinished_path, locate, own_files
from nissa.model.columns import SeriesColumn
from nissa.model.errors import Damaged
from nissa.store.block_rows import rows_fault
from nissa.store.block_series import series_in
from nissa.store.quarantine import SUFFIX, QuarantineRow, read_quarantine
from nissa.store.series_table import read_series


class FileReport(msgspec.Struct, frozen=True):
    """One file. damage: what is wrong with it; empty where it is sound."""

    path: str
    kind: str
    rows: int
    bytes: int
    damage: str = ""


class Report(msgspec.Struct, frozen=True):
    """Findings about one file.

    files: all that the catalogue names. orphans: files it does not name. catalogue: its own faults. quarantine: what
    was found damaged before, and is not served.
    """

    files: tuple[FileReport, ...]
    orphans: tuple[str, ...]
    catalogue: tuple[str, ...]
    quarantine: tuple[QuarantineRow, ...] = ()

    @property
    def sound(self) -> bool:
        """True if nothing is damaged; orphans are no damage."""
        return not self.catalogue and not self.quarantine and not any(file.damage for file in self.files)


def verify_directory(directory: Path) -> Report:
    """Verify a data directory, also while a daemon writes it.

    Raises: UnknownFormat, ConfigInvalid, Damaged (the catalogue).
    """
    catalogue = Catalogue.open(directory, readonly=True)
    try:
        blocks, segments, checkpoint = catalogue.blocks(), catalogue.series_segments(), catalogue.checkpoint()
        files = [_verify_block(directory, block) for block in blocks]
        known: list[SeriesColumn] = []
        files += [report for segment in segments for report in _verify_segment(directory, segment, known)]
        looked_at = len(files)
        files = [file for file in files if not _gone_meanwhile(catalogue, file)]
        faults = [*catalogue.check(), *check_state(directory), *_series_faults(segments, checkpoint.series_count)]
        if len(files) == looked_at and all(not file.damage for file in files):  # else some of the table is missing
            sound = [block for block in blocks if block.kind != EVENTS_KIND]
            faults += _unknown_series(directory, catalogue, sound, known, checkpoint.series_count)
        named = {file.path for file in files} | {block.path for block in catalogue.blocks()}
        named |= {copy_path(segment.path) for segment in catalogue.series_segments()}
        quarantine = tuple(read_quarantine(catalogue))
        named |= {name for row in quarantine for name in (row.path, row.path + SUFFIX)}
    finally:
        catalogue.close()
    orphans = [path for path in own_files(directory) if path not in named and not is_unfinished_path(path)]
    return Report(tuple(files), tuple(orphans), tuple(faults), quarantine)


def _verify_block(directory: Path, block: BlockRow) -> FileReport:
    damage = damage_of(directory, block.path, block.seal)
    if not damage:
        damage = rows_fault(directory, block)
    return FileReport(block.path, block.kind, block.rows, block.bytes, damage)


def _verify_segment(directory: Path, segment: SeriesSegment, known: list[SeriesColumn]) -> Iterator[FileReport]:
    """The segment, and its second copy where it has one. known: gets the ids."""
    damage = damage_of(directory, segment.path, segment.seal)
    if not damage:
        try:
            # Reading checks that ids ascend, where they begin and end, and how many there are.
            known += [piece.series for piece in read_series(directory, segment)]
        except (Damaged, FileNotFoundError) as error:
            damage = str(error)
    yield FileReport(segment.path, "series", segment.rows, segment.bytes, damage)
    if locate(directory, copy := copy_path(segment.path)).exists():
        yield FileReport(copy, "copy", 0, segment.bytes, damage_of(directory, copy, segment.seal))


def damage_of(directory: Path, path: str, seal: FileSeal) -> str:
    """Compare a file with its checksums; returns the fault, or an empty text.

    directory: the data directory. path: relative to it. seal: the checksums.
    """
    try:
        size, crc = file_crc(locate(directory, path))
    except FileNotFoundError:
        return MISSING
    except (OSError, Damaged) as error:
        return str(error)
    if size != seal.bytes:
        return f"it has {size} bytes, expected {seal.bytes}"
    return "" if crc == seal.crc else f"it has CRC-32C {crc:08x}, expected {seal.crc:08x}"


def _series_faults(segments: Sequence[SeriesSegment], series_count: int) -> Iterator[str]:
    last = -1
    for segment in segments:
        if segment.first_series <= last:
            yield f"{segment.path} begins with series {segment.first_series}, but an earlier segment ends with {last}"
        last = max(last, segment.last_series)
    if last >= series_count:
        yield f"the series table has series {last}, but the checkpoint says that only {series_count} ids were assigned"


def _unknown_series(
    directory: Path, catalogue: Catalogue, blocks: Sequence[BlockRow], known: list[SeriesColumn], series_count: int
) -> Iterator[str]:
    """Blocks with rows of series that have no labels. Nothing is said of ids that the checkpoint does not know yet."""
    table = np.concatenate([np.empty(0, np.uint32), *known])
    for block in blocks:
        try:
            series = series_in(directory, block)
        except FileGone:  # merged meanwhile
            continue
        unknown = np.setdiff1d(series[series < series_count], table, assume_unique=True)
        if len(unknown) and block in catalogue.blocks():
            lacking = f"has rows of {len(unknown)} series that the series table does not have, such as {unknown[0]}"
            yield f"{block.path} {lacking}"


def _gone_meanwhile(catalogue: Catalogue, file: FileReport) -> bool:
    """True if a missing file is one that a running daemon has merged away since the catalogue was read."""
    if file.damage != MISSING:
        return False
    segments = [segment.path for segment in catalogue.series_segments()]
    return file.path not in [*(block.path for block in catalogue.blocks()), *segments, *map(copy_path, segments)]
