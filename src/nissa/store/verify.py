"""Verifying a data directory: every byte of every file the catalogue names, and the catalogue itself.

For each block and series segment: its size and checksum, whether it can be read, whether its rows come in order, and
whether their number and range are those of the catalogue. For the series table: no gap, no overlap, as many series as
the checkpoint says. Files nobody names are told too; they are harmless. The journal is verified in ``recovery.py``.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from nissa._fast.selection import first_unsorted
from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.errors import Damaged
from nissa.store.blocks import read_block
from nissa.store.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.store.checked_file import FileSeal, file_crc
from nissa.store.event_blocks import read_events
from nissa.store.names import RAW_KIND, is_tier_kind, locate, own_files
from nissa.store.quarantine import SUFFIX, QuarantineRow, read_quarantine
from nissa.store.series_table import read_series
from nissa.store.tier_blocks import read_tier_block

START_MS, END_MS = -(2**63), 2**63 - 1


class FileReport(msgspec.Struct, frozen=True):
    """One file. damage: what is wrong with it; empty where it is sound."""

    path: str
    kind: str
    rows: int
    bytes: int
    damage: str = ""


class Report(msgspec.Struct, frozen=True):
    """What was found.

    files: all that the catalogue names. orphans: files it does not name. catalogue: its own faults. quarantine: what
    was found damaged before, and is not served.
    """

    files: tuple[FileReport, ...]
    orphans: tuple[str, ...]
    catalogue: tuple[str, ...]
    quarantine: tuple[QuarantineRow, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged; orphans are no damage."""
        return not self.catalogue and not self.quarantine and not any(file.damage for file in self.files)


def verify_directory(directory: Path) -> Report:
    """Verify a data directory, also while a daemon writes it.

    Raises: UnknownFormat, ConfigInvalid, Damaged (the catalogue).
    """
    catalogue = Catalogue.open(directory, readonly=True)
    try:
        blocks, segments, checkpoint = catalogue.blocks(), catalogue.series_segments(), catalogue.checkpoint()
        files = [_verify_block(directory, block) for block in blocks]
        files += [_verify_segment(directory, segment) for segment in segments]
        files = [file for file in files if not _gone_meanwhile(catalogue, file)]
        faults = [*catalogue.check(), *_series_faults(segments, checkpoint.series_count)]
        named = {file.path for file in files} | {block.path for block in catalogue.blocks()}
        quarantine = tuple(read_quarantine(catalogue))
        named |= {name for row in quarantine for name in (row.path, row.path + SUFFIX)}
    finally:
        catalogue.close()
    orphans = [path for path in own_files(directory) if path not in named]
    return Report(tuple(files), tuple(orphans), tuple(faults), quarantine)


def _verify_block(directory: Path, block: BlockRow) -> FileReport:
    damage = _damage_of(directory, block.path, block.seal)
    if not damage:
        try:
            damage = _fault_of(directory, block)
        except (Damaged, FileNotFoundError) as error:
            damage = str(error)
    return FileReport(block.path, block.kind, block.rows, block.bytes, damage)


def _verify_segment(directory: Path, segment: SeriesSegment) -> FileReport:
    damage = _damage_of(directory, segment.path, segment.seal)
    if not damage:
        try:
            for _ in read_series(directory, segment):
                pass  # reading checks that ids go on and how many there are
        except (Damaged, FileNotFoundError) as error:
            damage = str(error)
    return FileReport(segment.path, "series", segment.rows, segment.bytes, damage)


def _damage_of(directory: Path, path: str, seal: FileSeal) -> str:
    try:
        size, crc = file_crc(locate(directory, path))
    except FileNotFoundError:
        return "the file is missing"
    except (OSError, Damaged) as error:
        return str(error)
    if size != seal.bytes:
        return f"it has {size} bytes, expected {seal.bytes}"
    return "" if crc == seal.crc else f"it has CRC-32C {crc:08x}, expected {seal.crc:08x}"


def _fault_of(directory: Path, block: BlockRow) -> str:
    if block.kind == RAW_KIND:
        samples = read_block(directory, block, None, START_MS, END_MS)
        return _rows_fault(block, ((batch.series, batch.ts_ms) for batch in samples))
    if is_tier_kind(block.kind):
        windows = read_tier_block(directory, block, None, START_MS, END_MS)
        return _rows_fault(block, ((batch.series, batch.start_ms) for batch in windows))
    return _events_fault(directory, block)


def _rows_fault(block: BlockRow, parts: Iterable[tuple[SeriesColumn, TimeColumn]]) -> str:
    rows, min_ms, max_ms = 0, END_MS, START_MS
    before: tuple[int, int] | None = None
    first_series = last_series = 0
    for series, ts_ms in parts:
        first = (int(series[0]), int(ts_ms[0]))
        wrong = first_unsorted(series, ts_ms)
        if wrong >= 0 or (before is not None and first <= before):
            return f"row {rows + max(wrong, 0)} is not in order of series and time"
        before = (int(series[-1]), int(ts_ms[-1]))
        first_series, last_series = (first[0] if rows == 0 else first_series), before[0]
        min_ms, max_ms = min(min_ms, int(ts_ms.min())), max(max_ms, int(ts_ms.max()))
        rows += len(series)
    found = (rows, min_ms, max_ms, first_series, last_series)
    expected = (block.rows, block.min_ms, block.max_ms, block.series_min, block.series_max)
    if found != expected:
        return f"rows, times and series are {found}, the catalogue says {expected}"
    return ""


def _events_fault(directory: Path, block: BlockRow) -> str:
    times = [event["time_ms"] for event in read_events(directory, block, START_MS, END_MS)]
    if len(times) != block.rows:
        return f"it has {len(times)} events, the catalogue says {block.rows}"
    if times != sorted(times):
        return "its events are not in order of time"
    if (times[0], times[-1]) != (block.min_ms, block.max_ms):
        return f"its times are [{times[0]}, {times[-1]}], the catalogue says [{block.min_ms}, {block.max_ms}]"
    return ""


def _series_faults(segments: Sequence[SeriesSegment], series_count: int) -> Iterator[str]:
    expected = 0
    for segment in segments:
        if segment.first_series != expected:
            yield f"{segment.path} begins with series {segment.first_series}, expected {expected}"
        expected = segment.first_series + segment.rows
    if expected != series_count:
        yield f"the series table has {expected} series, the checkpoint says {series_count}"


def _gone_meanwhile(catalogue: Catalogue, file: FileReport) -> bool:
    """Whether a missing file is one that a running daemon has merged away since the catalogue was read."""
    if file.damage != "the file is missing" or file.kind == "series":
        return False
    return all(block.path != file.path for block in catalogue.blocks())
