"""Orphaned files: a start deletes block and series files without a row in the catalogue, if no data is lost by it.

    a crash before its commit                      a catalogue that lost commits: flipped bits in SQLite's log, or an
                                                   older copy of it put in place
    rows       files                               rows        files
    block 1    raw-…1                              block 1     —         merged away by a commit that is gone
               raw-…2   ──► deleted                            raw-…2    ──► raw-…2.parquet.unclaimed

A crash leaves files that are not needed: their frames are still in the journal, or the blocks they were merged from
still have rows. Any of these signs shows that the catalogue has lost commits instead:

1. a row names a file that is not there;
2. the journal begins after frames above the checkpoint, which it only deletes after a later checkpoint;
3. a file holds frames above the checkpoint that the journal does not have.

Then a file without a row may have the only copy of acknowledged records. It is renamed and never deleted. The journal
is replayed before, to know which frames it has. ``Catalogue`` never assigns the number of an existing file.
"""

from itertools import count
from pathlib import Path

import msgspec

from nissa.catalogue.catalogue import Catalogue
from nissa.files.file_facts import read_facts
from nissa.files.names import JOURNAL, copy_path, is_own_path, is_unfinished_path, own_files
from nissa.journal.recovery import RecoveryReport, acknowledged_before

SUFFIX = ".unclaimed"


class Orphans(msgspec.Struct, frozen=True):
    """Files without a row when the catalogue was opened. doubt: why it may have lost commits; empty where no sign is.

    checkpoint_lsn: of the catalogue then.
    """

    paths: tuple[str, ...] = ()
    clock_jump: str = ""
    checkpoint_lsn: int = 0


class Garbage(msgspec.Struct, frozen=True):
    """Fate of files without a row; all paths are those they had. At most one of both has any.

    reason: why they were kept.
    """

    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    reason: str = ""


def find_orphans(directory: Path, catalogue: Catalogue) -> Orphans:
    """Blocks and series segments that no row names. Changes nothing; for a start, before anything is committed."""
    segments = {segment.path for segment in catalogue.series_segments()}
    named = {block.path for block in catalogue.blocks()} | segments
    copies = {copy_path(path) for path in segments}
    aside = {path for (path,) in catalogue.select("SELECT path FROM quarantine")}
    there = [path for path in own_files(directory) if is_own_path(path)]
    orphans = tuple(path for path in there if path not in named and path not in aside and path not in copies)
    if not orphans:
        return Orphans()
    lsn = catalogue.checkpoint().lsn
    clock_jump = ""
    if missing := sorted(named - set(there)):
        clock_jump = f"{missing[0]} has a row, and is not there"
    elif (before := acknowledged_before(directory / JOURNAL)) > lsn:
        clock_jump = f"the journal begins behind frame {before}, the checkpoint is at {lsn}"
    return Orphans(orphans, clock_jump, lsn)


def clear_orphans(directory: Path, orphans: Orphans, journal: RecoveryReport) -> Garbage:
    """Delete orphans, or put them aside where the catalogue may have lost commits. journal: as it was replayed."""
    if not orphans.paths:
        return Garbage()
    doubts = (_clock_jump_of(directory, path, orphans, journal) for path in orphans.paths)
    clock_jump = orphans.clock_jump or next(filter(None, doubts), "")
    if clock_jump:
        for path in orphans.paths:
            (directory / path).rename(_unused(directory / (path + SUFFIX)))
        return Garbage(kept=orphans.paths, reason=clock_jump)
    for path in orphans.paths:
        (directory / path).unlink(missing_ok=True)
    return Garbage(deleted=orphans.paths)


def delete_unfinished(directory: Path) -> None:
    """Delete unfinished files left by a crash: they never had a row. For a start."""
    for path in filter(is_unfinished_path, own_files(directory)):
        (directory / path).unlink(missing_ok=True)


def orphaned_files(directory: Path) -> list[str]:
    """Files that were put aside and are still there, sorted: an operator has to decide about them."""
    return [path for path in own_files(directory) if is_own_path(path.partition(SUFFIX)[0]) and SUFFIX in path]


def _clock_jump_of(directory: Path, path: str, orphans: Orphans, journal: RecoveryReport) -> str:
    """Reason to keep the file, as it may hold rows that no other file has; empty if it does not."""
    whole = not journal.rot_ranges and journal.tail is not None
    replayed_lsn = journal.tail.last_lsn if whole and journal.tail is not None else orphans.checkpoint_lsn
    try:
        facts = read_facts(directory / path)
    except ValueError:  # cut short, as a crash leaves a file it was writing
        return "" if replayed_lsn > orphans.checkpoint_lsn else f"{path} is cut short, and the journal is empty"
    if facts is None:
        return f"{path} does not say which frames it is made of"
    if facts.last_lsn > replayed_lsn:
        return f"{path} holds frames up to {facts.last_lsn}, catalogue and journal end at {replayed_lsn}"
    return ""


def _unused(path: Path) -> Path:
    """``path``, or where there is such a file already, the same with a number."""
    names = (path.with_name(path.name + (f".{number}" if number else "")) for number in count())
    return next(name for name in names if not name.exists())
