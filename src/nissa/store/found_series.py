"""Finds the segments of the series table on disk without a catalogue: the undamaged one of segment and copy.

    series/series-…4   copies/series-…4     the same bytes: as they were written
    one of them, or they differ: read whole, Parquet's checksums included

If two have the same ids, the later one is used: it was merged from the other.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from nissa.catalogue.catalogue import SeriesSegment
from nissa.files.checked_file import read_seal
from nissa.files.file_facts import SeriesFacts, read_facts
from nissa.files.names import COPIES, SERIES, copy_path, is_own_path, locate, number_of, own_files, series_path
from nissa.model.errors import Damaged
from nissa.store.series_table import read_series


class FoundSegment(msgspec.Struct, frozen=True):
    """One segment. row: None where neither it nor its copy is sound; damage: why, empty where both are.

    last_lsn: of the frames that brought its series; 0 where it does not say so. sources: ids of the segments it is
    merged from.
    """

    path: str
    row: SeriesSegment | None = None
    damage: str = ""
    last_lsn: int = 0
    sources: tuple[int, ...] = ()


def find_segments(directory: Path) -> list[FoundSegment]:
    """All segments, by number. Raises: OSError where the directory cannot be read."""
    rooms = (f"{SERIES}/", f"{COPIES}/")
    numbers = {number_of(path) for path in own_files(directory) if is_own_path(path) and path.startswith(rooms)}
    return [_find(directory, series_path(number)) for number in sorted(numbers)]


def counted(segments: Sequence[FoundSegment]) -> list[SeriesSegment]:
    """Sound segments that together hold each id once, in order of series."""
    kept: list[SeriesSegment] = []
    merged: set[int] = set()
    for one in reversed(segments):
        row = one.row
        if row is None or row.id in merged or not row.rows:
            continue
        merged.update(one.sources)
        if all(row.last_series < other.first_series or row.first_series > other.last_series for other in kept):
            kept.append(row)
    return sorted(kept, key=lambda row: row.first_series)


def _find(directory: Path, path: str) -> FoundSegment:
    damages: list[str] = []
    whole = _same_bytes(directory, path)
    for one in (path, copy_path(path)):
        try:
            found = _read(directory, path, one, checked=not whole)
        except (OSError, ValueError, Damaged) as error:
            damages.append(f"{one}: {error}")
        else:
            return msgspec.structs.replace(found, damage="; ".join(damages))
    return FoundSegment(path, damage="; ".join(damages))


def _same_bytes(directory: Path, path: str) -> bool:
    try:
        return read_seal(locate(directory, path)) == read_seal(locate(directory, copy_path(path)))
    except OSError:
        return False


def _read(directory: Path, path: str, one: str, *, checked: bool) -> FoundSegment:
    """The segment as the file ``one`` has it. Raises: OSError, ValueError, Damaged."""
    import pyarrow.parquet as pq  # heavy: the daemon receives before it is needed

    place = locate(directory, one)
    seal, facts = read_seal(place), read_facts(place)
    try:
        with pq.ParquetFile(place, page_checksum_verification=True) as file:
            groups = range(file.num_row_groups if checked or facts is None else 0)
            read = (file.read_row_group(at, use_threads=False) for at in groups)
            parts = [group.column("series").to_numpy() for group in read]
    except Exception as error:  # any error of Arrow for bytes it cannot read
        raise ValueError(f"truncated or damaged segment: {error}") from error
    number = number_of(path)
    if isinstance(facts, SeriesFacts):
        first, last, rows = facts.first_series, facts.last_series or facts.first_series + facts.rows - 1, facts.rows
        last_lsn, sources = facts.last_lsn, facts.sources
        if facts.id != number:
            raise ValueError("its name is that of another segment")
    else:
        ids = np.concatenate([np.empty(0, np.uint32), *parts])
        first, last = (int(ids[0]), int(ids[-1])) if len(ids) else (0, -1)
        rows, last_lsn, sources = len(ids), 0, ()
    row = SeriesSegment(number, path, first, rows, seal.bytes, seal.crc, seal.page_crcs, last)
    for _ in read_series(directory, row):  # from the copy where that is the sound one: it has these bytes
        pass
    return FoundSegment(path, row, "", last_lsn, sources)
