"""Rebuilds a catalogue from blocks, series segments and the journal (``nissa rebuild``).

    blocks/*.parquet    footers: rows, times, frames, tiers     ──► table block, tier       (store/found_blocks.py)
    series/, copies/    labels                                  ──► table series_segment    (rebuilt_series.py)
    journal/            what it gives back                      ──► checkpoint              (store/found_checkpoint.py)
    manifest.json       files that are missing                  ──► table quarantine
    catalogue.sqlite    tables that are sound                   ──► pins, deletions, …      (store/old_catalogue.py)

Nothing is deleted: the old catalogue is renamed; unused files stay without a row, and the next start treats them as
orphaned. Contents that only the catalogue had are reported (``Rebuilt.lost``).
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from nissa.catalogue.catalogue import SECRET_BYTES, BlockRow, Catalogue, Checkpoint
from nissa.catalogue.lost_catalogue import is_blank
from nissa.catalogue.manifest import SERIES_KIND, FileEntry, read_manifest
from nissa.catalogue.old_catalogue import CLAIMS, OF_THE_MOMENT, OldCatalogue, read_old
from nissa.files.checked_file import MISSING
from nissa.files.file_facts import BlockFacts, read_facts
from nissa.files.lock import DirectoryLock
from nissa.files.names import CATALOGUE, EVENTS_KIND, JOURNAL, is_own_path, is_tier_kind, number_of, own_files
from nissa.ingest.frozen_head import pack_minutes
from nissa.ingest.rebuilt_series import RebuiltSeries, rebuild_series
from nissa.ingest.restored_series import KEY as LOST_SERIES
from nissa.ingest.restored_series import REBUILT_KEY
from nissa.ingest.settings import SETTINGS
from nissa.journal.found_checkpoint import Stamp, find_checkpoint
from nissa.journal.recovery import acknowledged_before
from nissa.maintenance.salvage import quarantine_block
from nissa.model.columns import SeriesColumn
from nissa.model.counters import Tallies
from nissa.model.errors import BadQuery, Damaged, Unavailable
from nissa.model.slices import run_whole
from nissa.model.units import MINUTE_MS
from nissa.store.block_series import series_in
from nissa.store.found_blocks import FoundBlock, find_blocks, superseded
from nissa.store.found_series import FoundSegment, counted, find_segments
from nissa.store.garbage import SUFFIX as UNCLAIMED
from nissa.store.quarantine import SUFFIX as DAMAGED
from nissa.store.quarantine import QuarantineRow, rename_damaged
from nissa.store.rebuilt_catalogue import Contents, put_in_place, tiers_of, write_apart
from nissa.store.series_copy import delete_segment

NUMBERS_SKIPPED = 1_000  # behind the highest number that is known of: of deleted files none is
# What stood nowhere else, by what of the old catalogue says it.
LOST_WORDS = {
    "secret": "the key of series fingerprints: all series were written again under a new one",
    "ladder_policies": "policies of the ladder: those of the settings are in force from the next window on",
}
LOST_TABLES = {
    "pin": "pins",
    "tombstone": "deletions: rows that no merge has left out yet are answered again",
    "metadata": "types and help texts of metrics, until they are sent again",
    "checkpoint": "the counters, which begin at 0",
    "claim": "which packets and requests came before: one that comes again is stored again",
}


class Rebuilt(msgspec.Struct):
    """A catalogue that was made again. left_out, damaged: path -> why. missing: files that the manifest names.

    silent: files that do not say which frames they hold. lost_series: ids without labels. lost: what stood in the
    catalogue alone, in words. aside: the name of the old catalogue, if there was one.
    """

    blocks: int = 0
    rows: int = 0
    segments: int = 0
    series: int = 0
    checkpoint_lsn: int = 0
    claimed: list[str] = []
    left_out: dict[str, str] = {}
    damaged: dict[str, str] = {}
    missing: list[str] = []
    silent: list[str] = []
    lost_series: int = 0
    lost: list[str] = []
    aside: str = ""


class _Files(msgspec.Struct):
    """The files of a directory, and those that count. named: by the manifest."""

    blocks: list[FoundBlock]
    segments: list[FoundSegment]
    old: OldCatalogue
    named: dict[str, FileEntry]
    lsn: int = 0
    left_out: dict[str, str] = {}

    def damaged(self) -> dict[str, str]:
        """Files that are not whole: path -> why."""
        found = [(one.path, one.damage) for one in self.blocks] + [(one.path, one.damage) for one in self.segments]
        return {path: damage for path, damage in found if damage}

    def sources(self) -> list[int]:
        """Numbers of the files that these were merged from."""
        found = [one.sources for one in self.blocks] + [one.sources for one in self.segments]
        return [number for numbers in found for number in numbers]

    def kept(self) -> list[FoundBlock]:
        """Blocks to put into the catalogue; damaged ones only where their catalogue row is known."""
        return [one for one in self.blocks if one.row is not None and one.path not in self.left_out]


def rebuild_directory(directory: Path, clock: Callable[[], int], *, replace: bool = False) -> Rebuilt:
    """Make the catalogue of a directory again. Cost: everything is read once.

    replace: put a catalogue aside that opens. Raises: DirectoryLocked while a daemon runs; BadQuery where the catalogue
    opens, or there is nothing to make one of; UnknownFormat; Damaged where the journal holds anything but segments;
    OSError, Unavailable, with the old catalogue in its place.
    """
    with DirectoryLock(directory):
        if not replace:
            _refuse_good(directory)
        if not own_files(directory) and not acknowledged_before(directory / JOURNAL):
            raise BadQuery(f"{directory}: no blocks, no series and no journal to make a catalogue of")
        claimed = _claim(directory)
        try:
            return _rebuild(directory, clock(), claimed)
        except BaseException:  # raised again: the names stay those that a start gave
            for path, name in claimed.items():
                (directory / path).rename(directory / name)
            raise


def _refuse_good(directory: Path) -> None:
    if is_blank(directory / CATALOGUE):
        return
    with suppress(Damaged):
        Catalogue.open(directory, readonly=True).close()
        raise BadQuery(f"{directory / CATALOGUE} opens and is whole; to put it aside and make another, say --replace")


def _claim(directory: Path) -> dict[str, str]:
    """Give files that a start has put aside their names again: path -> the name they had."""
    claimed: dict[str, str] = {}
    for name in own_files(directory):
        path = name.partition(UNCLAIMED)[0]
        if UNCLAIMED in name and is_own_path(path) and not (directory / path).exists():
            (directory / name).rename(directory / path)
            claimed[path] = name
    return claimed


def _rebuild(directory: Path, now_ms: int, claimed: dict[str, str]) -> Rebuilt:
    files = _look(directory)
    kept = files.kept()
    number = _last_number(directory, files) + NUMBERS_SKIPPED
    found = [one for one in files.segments if one.path not in files.left_out]
    secrets = bytes.fromhex(files.old.words.get("secret", "")), os.urandom(SECRET_BYTES)
    series, secret = rebuild_series(directory, counted(found), _met(directory, kept), secrets, number)
    try:
        unreadable = _unreadable(directory, files, now_ms)
        contents = _contents(files, series, secret, unreadable, number)
        catalogue = write_apart(directory, contents)
        try:
            put = [_quarantine(directory, catalogue, one, now_ms) for one in kept if one.damage]
            blocks = catalogue.blocks()
        finally:
            catalogue.close()
        aside = put_in_place(directory)
    except BaseException:  # raised again; of the new file nothing must stay
        if series.written is not None:
            delete_segment(directory, series.written.path)
        raise
    with suppress(OSError):  # else the next start does it
        rename_damaged(directory, (*put, *unreadable))
    return Rebuilt(
        blocks=len(blocks),
        rows=sum(block.rows for block in blocks),
        segments=len(series.segments),
        series=len(series.ids),
        checkpoint_lsn=files.lsn,
        claimed=sorted(claimed),
        left_out=files.left_out,
        damaged=files.damaged(),
        missing=[row.path for row in unreadable if row.damage == MISSING],
        silent=[one.path for one in kept if one.silent],
        lost_series=len(series.lost),
        lost=_lost(directory, files, secret),
        aside=aside,
    )


def _look(directory: Path) -> _Files:
    """Read all files, and decide which of them count."""
    named: dict[str, FileEntry] = {}
    with suppress(OSError, msgspec.MsgspecError):
        named = {entry.path: entry for entry in read_manifest(directory).files if is_own_path(entry.path)}
    files = _Files(list(find_blocks(directory)), find_segments(directory), read_old(directory), named)
    files.left_out = {path: f"its rows are in {by}" for path, by in superseded(files.blocks).items()}
    stamps = [
        Stamp(one.path, one.row.last_lsn, bool(one.row.level or one.sources or one.tier) or one.path in named)
        for one in files.kept()
        if one.row is not None
    ]
    stamps += [Stamp(one.path, one.last_lsn, one.path in named) for one in files.segments]
    checkpoint = find_checkpoint(directory / JOURNAL, stamps, files.old.checkpoint_lsn)
    files.lsn = checkpoint.lsn
    files.left_out |= dict.fromkeys(checkpoint.left_out, "the journal gives its frames back")
    return files


def _met(directory: Path, kept: Sequence[FoundBlock]) -> SeriesColumn:
    """Ids of all series that blocks have rows of, ascending."""
    met: SeriesColumn = np.empty(0, np.uint32)
    for one in kept:
        if one.row is not None and one.row.kind != EVENTS_KIND:
            with suppress(Damaged):  # its rows cannot be read either
                met = np.union1d(met, series_in(directory, one.row)).astype(np.uint32)
    return met


def _last_number(directory: Path, files: _Files) -> int:
    """The highest number that any file is known to have had."""
    return max([*map(number_of, own_files(directory)), *map(number_of, files.named), *files.sources()], default=0)


def _unreadable(directory: Path, files: _Files, now_ms: int) -> tuple[QuarantineRow, ...]:
    """Rows of the quarantine for blocks that are missing, cannot be opened, or were put aside before."""
    known = {str(row[0]) for row in files.old.tables.get("quarantine", ())}
    kept = {one.path: one for one in files.kept()}
    sound = [one.row for one in kept.values() if one.row is not None and not one.damage]
    rows = []
    for path, entry in files.named.items():
        there = (directory / path).exists() or (directory / (path + DAMAGED)).exists()
        if entry.kind != SERIES_KIND and not there and path not in known and not _is_merged(entry, files.blocks, sound):
            rows.append(_row_of(entry, now_ms, MISSING))
    for one in files.blocks:
        if one.row is None:
            rows.append(_row_of(files.named.get(one.path, _bare(one.path)), now_ms, one.damage))
    for name in own_files(directory):
        path = name.removesuffix(DAMAGED)
        if path != name and is_own_path(path) and path not in known and path not in kept:
            rows.append(_put_aside_before(directory, path, files.blocks, now_ms))
    return tuple(rows)


def _is_merged(entry: FileEntry, blocks: Sequence[FoundBlock], sound: Sequence[BlockRow]) -> bool:
    """True where a file that the manifest names is in another one: the manifest may be older than the files."""
    number = number_of(entry.path)
    if any(number in one.sources for one in blocks if not one.damage):
        return True
    later = [
        one for one in sound if one.id > number and one.kind == entry.kind and (one.level or is_tier_kind(one.kind))
    ]
    return any(one.min_ms <= entry.min_ms and entry.max_ms <= one.max_ms for one in later)


def _bare(path: str) -> FileEntry:
    return FileEntry(path, path.partition("/")[2].rpartition("-")[0], 0, 0)


def _row_of(entry: FileEntry, now_ms: int, damage: str, rows: int = -1, lsn: tuple[int, int] = (0, 0)) -> QuarantineRow:
    ends = (entry.min_ms, entry.max_ms, entry.series_min, entry.series_max)
    return QuarantineRow(entry.path, entry.kind, entry.rows if rows < 0 else rows, *ends, *lsn, now_ms, damage)


def _put_aside_before(directory: Path, path: str, blocks: Sequence[FoundBlock], now_ms: int) -> QuarantineRow:
    damage = "it was put aside before the catalogue was lost"
    try:
        facts = read_facts(directory / (path + DAMAGED))
    except (OSError, ValueError):
        facts = None
    if not isinstance(facts, BlockFacts):
        return _row_of(_bare(path), now_ms, damage)
    saved = sum(one.row.rows for one in blocks if one.row is not None and one.sources == (facts.id,))
    ends = (facts.min_ms, facts.max_ms, facts.series_min, facts.series_max)
    entry = FileEntry(path, facts.kind, facts.rows, 0, *ends)
    return _row_of(entry, now_ms, damage, max(facts.rows - saved, 0), (facts.first_lsn, facts.last_lsn))


def _contents(
    files: _Files, series: RebuiltSeries, secret: bytes, unreadable: Sequence[QuarantineRow], number: int
) -> Contents:
    kept, old = files.kept(), files.old
    # Ids of tombstones go on from those that are kept: of a higher one no block may claim to know.
    newest = max((int(row[0]) for row in old.tables.get("tombstone", ())), default=0)
    rows = tuple(
        msgspec.structs.replace(one.row, tombstone=min(one.row.tombstone, newest))
        for one in kept
        if one.row is not None
    )
    same = old.checkpoint_lsn >= files.lsn > 0  # nothing was committed after what it says
    tables = {name: found for name, found in old.tables.items() if same or name not in OF_THE_MOMENT}
    tables.pop("checkpoint", None)
    quarantined = [row for row in tables.pop("quarantine", []) if row[0] not in {block.path for block in rows}]
    words = {name: text for name, text in old.words.items() if same or name != CLAIMS}
    words["secret"] = secret.hex()
    if series.twice and LOST_SERIES not in words:
        words[LOST_SERIES] = msgspec.json.encode(series.twice).decode()
    if len(series.lost):
        words[REBUILT_KEY] = str(files.lsn)
    minute = max([1, *(row.created_ms // MINUTE_MS for row in rows)])
    seen = series.ids, np.full(len(series.ids), minute, np.uint32)
    tallies: Tallies = {}
    if same:
        with suppress(msgspec.MsgspecError):
            tallies = msgspec.json.decode(old.tables["checkpoint"][0][3], type=Tallies)
    count = max(int(series.ids[-1]) + 1 if len(series.ids) else 0, *(row.series_max + 1 for row in rows), 0)
    return Contents(
        words,
        rows,
        series.segments,
        Checkpoint(files.lsn, count, tallies, pack_minutes(seen, minute)),
        number,
        (*(QuarantineRow(*row) for row in quarantined), *unreadable),
        () if "tier" in tables else tiers_of([(one.row, one.tier) for one in kept if one.row and one.tier]),
        tables,
    )


def _quarantine(directory: Path, catalogue: Catalogue, found: FoundBlock, now_ms: int) -> QuarantineRow:
    if found.row is None:
        raise Unavailable(f"{found.path}: there is no row to put aside")
    row, _ = run_whole(quarantine_block(directory, catalogue, found.row, found.damage, now_ms))
    return row


def _lost(directory: Path, files: _Files, secret: bytes) -> list[str]:
    old = files.old
    same = old.checkpoint_lsn >= files.lsn > 0
    words = {**old.words}
    if words.get("secret") != secret.hex():
        words.pop("secret", None)
    policies = any(one.row is not None and "~" in one.row.kind for one in files.blocks)
    lost = [text for name, text in LOST_WORDS.items() if name not in words and (name == "secret" or policies)]
    lost += [
        text for name, text in LOST_TABLES.items() if name not in old.tables or (name in OF_THE_MOMENT and not same)
    ]
    if not (directory / SETTINGS).exists() and acknowledged_before(directory / JOURNAL) < files.lsn:
        lost.append(f"{SETTINGS}: the journal is replayed under the settings of the next start")
    return lost
