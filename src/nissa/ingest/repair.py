"""Repairs a directory without a running daemon (``nissa repair``), as far as damaged files have another source.

    series segment, its copy   one is damaged or missing      ──► written again from the other, page by page if need be
    block                      damaged                        ──► sound row groups in a new block, the rest put aside
                               missing                        ──► back from where a start has put it, or put aside
    block in quarantine        its file fits its checksum     ──► taken back

A running daemon does the same, except for the last line. Lost files keep their rows of the catalogue, so that queries
report what is missing, until ``--drop-lost``.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import google_crc32c
import msgspec
import numpy as np

from nissa.catalogue.catalogue import BlockRow, Catalogue, SeriesSegment
from nissa.files.checked_file import MISSING, PAGE_BYTES, CheckedWriter, file_crc
from nissa.files.file_facts import read_facts
from nissa.files.lock import DirectoryLock
from nissa.files.names import EVENTS_KIND, copy_path, locate
from nissa.ingest.rebuilt_series import rebuild_series
from nissa.ingest.restored_series import REBUILT_KEY
from nissa.maintenance.salvage import quarantine_block
from nissa.model.columns import SeriesColumn
from nissa.model.errors import Damaged
from nissa.model.slices import run_whole
from nissa.store.block_series import series_in
from nissa.store.found_blocks import find_block
from nissa.store.garbage import SUFFIX as UNCLAIMED
from nissa.store.garbage import orphaned_files
from nissa.store.quarantine import SUFFIX as DAMAGED
from nissa.store.quarantine import (
    KeptRow,
    QuarantineRow,
    forget_quarantined,
    read_kept,
    read_quarantine,
    rename_damaged,
    take_back,
)
from nissa.store.series_copy import delete_segment, is_sound, mend_segment
from nissa.store.tombstones import read_tombstones
from nissa.store.verify import damage_of


class Repaired(msgspec.Struct):
    """The result of a repair, by path.

    mended: copied again. back: served again. aside: put aside, and why. lost: without another source. dropped: of what
    was lost, what answers no longer name. unclaimed: files that a start has put aside.
    """

    mended: list[str] = []
    back: list[str] = []
    aside: dict[str, str] = {}
    lost: dict[str, str] = {}
    dropped: list[str] = []
    unclaimed: list[str] = []


def repair_directory(directory: Path, clock: Callable[[], int], *, drop_lost: bool = False) -> Repaired:
    """Repair a directory as far as possible. Cost: all files are read once.

    directory: the data directory. clock: Unix milliseconds. drop_lost: stop reporting blocks whose files are lost, and
    labels that no file has. Raises: DirectoryLocked while a daemon runs; Damaged if the catalogue is; OSError,
    Unavailable.
    """
    with ExitStack() as stack:
        stack.enter_context(DirectoryLock(directory))
        catalogue = Catalogue.open(directory)
        stack.callback(catalogue.close)
        done = Repaired()
        lost = [one for one in catalogue.series_segments() if not _mend(directory, one, done)]
        for row in read_quarantine(catalogue):
            if not _back_from_quarantine(directory, catalogue, row):
                continue
            done.back.append(row.path)
        for block in catalogue.blocks():
            _look_at(directory, catalogue, block, clock(), done)
        if drop_lost:
            _drop(directory, catalogue, lost, done)
        else:
            done.lost |= {one.path: f"labels of {one.rows} series" for one in lost}
        for row in read_quarantine(catalogue):
            done.lost[row.file] = f"{row.rows} rows of {row.min_ms} to {row.max_ms} ms: {row.damage}"
        done.unclaimed = orphaned_files(directory)
        catalogue.write_manifest()
    return done


# ---- the series table ----


def _mend(directory: Path, segment: SeriesSegment, done: Repaired) -> bool:
    """Write the segment or its copy again where need be; True where both are sound now."""
    places = (segment.path, copy_path(segment.path))
    hurt = [path for path in places if not is_sound(locate(directory, path), segment.seal)]
    if len(hurt) == len(places) and not _mend_pages(directory, segment):
        return False
    if hurt:
        mend_segment(directory, segment.path, segment.seal)
        done.mended += hurt
    return True


def _mend_pages(directory: Path, segment: SeriesSegment) -> bool:
    """Put together a segment of which each page is sound in one of two damaged files."""
    files = []
    for path in (segment.path, copy_path(segment.path)):
        place = locate(directory, path)
        files.append(place.read_bytes() if place.is_file() and place.stat().st_size <= segment.bytes else b"")
    pages = []
    for number, expected in enumerate(_page_crcs(segment)):
        at = slice(number * PAGE_BYTES, (number + 1) * PAGE_BYTES)
        page = next((data[at] for data in files if google_crc32c.value(data[at]) == expected), None)
        if page is None:
            return False
        pages.append(page)
    whole = b"".join(pages)
    if (len(whole), google_crc32c.value(whole)) != (segment.bytes, segment.crc):
        return False
    target = locate(directory, copy_path(segment.path))
    target.unlink(missing_ok=True)
    writer = CheckedWriter(target)
    try:
        writer.write(whole)
        writer.finish()
    except BaseException:  # raised again; a part of it must not stay
        writer.discard()
        raise
    return True


def _page_crcs(segment: SeriesSegment) -> list[int]:
    return [int(crc) for crc in np.frombuffer(segment.page_crcs, "<u4")]


# ---- blocks ----


def _look_at(directory: Path, catalogue: Catalogue, block: BlockRow, now_ms: int, done: Repaired) -> None:
    damage = damage_of(directory, block.path, block.seal)
    if damage and damage != MISSING:
        damage = damage_of(directory, block.path, block.seal)  # a disk, a cable or memory may fail once
    if not damage:
        return
    if damage == MISSING and (name := _unclaimed(directory, block)):
        (directory / name).rename(directory / block.path)
        done.back.append(block.path)
        return
    row, saved = run_whole(quarantine_block(directory, catalogue, block, damage, now_ms))
    rename_damaged(directory, (row,))
    done.aside[block.path] = f"{damage}; {0 if saved is None else saved.rows} of {block.rows} rows are sound"


def _unclaimed(directory: Path, block: BlockRow) -> str:
    """A file that a start has put aside and that is this block; empty where there is none."""
    names = (name for name in orphaned_files(directory) if name.partition(UNCLAIMED)[0] == block.path)
    return next((name for name in names if _fits(directory / name, block.bytes, block.crc)), "")


def _fits(path: Path, size: int, crc: int) -> bool:
    try:
        return file_crc(path) == (size, crc)
    except OSError:
        return False


def _back_from_quarantine(directory: Path, catalogue: Catalogue, row: QuarantineRow) -> bool:
    """Take the block back if its file is sound; True where it is served again."""
    kept = read_kept(catalogue).get(row.path)
    place = locate(directory, row.path)
    aside = place.with_name(place.name + DAMAGED)
    renamed = not place.exists() and aside.exists()
    if not renamed and not place.exists():
        return False
    if kept is not None and not _fits(aside if renamed else place, kept.bytes, kept.crc):
        return False
    if kept is None and row.damage != MISSING:
        return False  # an earlier version put it aside, and kept no checksum of it
    if renamed:
        aside.rename(place)
    block = _row_again(directory, row, kept)
    saved = None if block is None else _saved_of(directory, catalogue, block)
    if block is None or _is_deleted_since(catalogue, block) or (_events_moved_on(row, block) and saved is None):
        if renamed:
            place.rename(aside)
        return False
    take_back(catalogue, block, saved)
    if saved is not None:
        locate(directory, saved.path).unlink(missing_ok=True)
    return True


def _row_again(directory: Path, row: QuarantineRow, kept: KeptRow | None) -> BlockRow | None:
    found = find_block(directory, row.path)
    if found.row is None or found.damage:
        return None
    if kept is None:
        same = ("min_ms", "max_ms", "series_min", "series_max")
        return found.row if all(getattr(found.row, name) == getattr(row, name) for name in same) else None
    names = ("level", "created_ms", "tombstone")
    changes = {name: getattr(kept, name) for name in names}
    return msgspec.structs.replace(found.row, first_lsn=row.first_lsn, last_lsn=row.last_lsn, **changes)


def _saved_of(directory: Path, catalogue: Catalogue, block: BlockRow) -> BlockRow | None:
    """The block that the sound rows of this one are in, and no others."""
    for one in catalogue.blocks(block.kind, block.min_ms, block.max_ms + 1):
        if one.id > block.id and (one.first_lsn, one.last_lsn) == (block.first_lsn, block.last_lsn):
            facts = read_facts(locate(directory, one.path))
            if facts is not None and facts.sources == (block.id,):
                return one
    return None


def _events_moved_on(row: QuarantineRow, block: BlockRow) -> bool:
    """True where events of it were saved: if they are merged with others by now, they would be answered twice."""
    return block.kind == EVENTS_KIND and row.rows < block.rows


def _is_deleted_since(catalogue: Catalogue, block: BlockRow) -> bool:
    """True where rows of it may have been deleted by a tombstone that is done and gone."""
    given = catalogue.select("SELECT seq FROM sqlite_sequence WHERE name = 'tombstone'")
    there = {one.id for one in read_tombstones(catalogue)}
    last = int(given[0][0]) if given else 0
    return block.kind != EVENTS_KIND and any(number not in there for number in range(block.tombstone + 1, last + 1))


# ---- what is lost ----


def _drop(directory: Path, catalogue: Catalogue, lost: list[SeriesSegment], done: Repaired) -> None:
    rows = read_quarantine(catalogue)
    places = [locate(directory, row.path) for row in rows]
    there = [place.exists() or place.with_name(place.name + DAMAGED).exists() for place in places]
    gone = [row.path for row, is_there in zip(rows, there, strict=True) if not is_there]
    if gone:
        forget_quarantined(catalogue, gone)
    if lost:
        _name_series(directory, catalogue, lost)
    done.dropped += [*gone, *(segment.path for segment in lost)]


def _name_series(directory: Path, catalogue: Catalogue, lost: list[SeriesSegment]) -> None:
    """Write the series table again, with the names of lost series for those whose labels stand nowhere."""
    old = catalogue.series_segments()
    sound = [segment for segment in old if segment not in lost]
    met = np.unique(np.concatenate([np.empty(0, np.uint32), *_met(directory, catalogue)])).astype(np.uint32)
    series, _ = rebuild_series(directory, sound, met, (catalogue.secret, catalogue.secret), catalogue.new_id())
    catalogue.replace_series(old, series.segments)
    with catalogue.transaction("meta") as db:
        db.execute("REPLACE INTO meta (key, value) VALUES (?, ?)", (REBUILT_KEY, str(catalogue.checkpoint().lsn)))
    for segment in old:
        if segment in lost:
            for path in (segment.path, copy_path(segment.path)):
                place = locate(directory, path)
                if place.exists():
                    place.rename(place.with_name(place.name + DAMAGED))
        elif segment not in series.segments:
            delete_segment(directory, segment.path)


def _met(directory: Path, catalogue: Catalogue) -> Iterator[SeriesColumn]:
    for block in catalogue.blocks():
        if block.kind != EVENTS_KIND:
            try:
                yield series_in(directory, block)
            except Damaged:  # put aside by now
                continue
