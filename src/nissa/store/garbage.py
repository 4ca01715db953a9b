"""Files of blocks and series that no row of the catalogue names: deleted at the start, unless commits may be lost.

    a crash before its commit                      a catalogue that lost commits: flipped bits in SQLite's log, or an
                                                   older copy of it put in place
    rows       files                               rows        files
    block 1    raw-…1                              block 1     —         merged away by a commit that is gone
               raw-…2   ──► deleted                            raw-…2    ──► raw-…2.parquet.unclaimed

A crash leaves files that nobody was told of: their frames are in the journal still, their blocks of before have their
rows still. Two signs tell that it was no crash: a row names a file that is not there, or the journal begins behind
frames above the checkpoint, which only a later checkpoint lets it forget. Then what has no row may be all there is of
acknowledged records. It is put out of the way, for its number will be used again, and never deleted.
"""

from itertools import count
from pathlib import Path

import msgspec

from nissa.store.catalogue import Catalogue
from nissa.store.names import JOURNAL, is_own_path, own_files
from nissa.store.recovery import acknowledged_before

SUFFIX = ".unclaimed"


class Garbage(msgspec.Struct, frozen=True):
    """What became of files without a row; all paths are those they had. At most one of both has any."""

    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def collect_garbage(directory: Path, catalogue: Catalogue) -> Garbage:
    """Delete blocks and series segments that no row names, or put them aside. At start only."""
    named = {block.path for block in catalogue.blocks()} | {segment.path for segment in catalogue.series_segments()}
    aside = {path for (path,) in catalogue.select("SELECT path FROM quarantine")}
    there = [path for path in own_files(directory) if is_own_path(path)]
    garbage = tuple(path for path in there if path not in named and path not in aside)
    if not garbage:
        return Garbage()
    if named - set(there) or acknowledged_before(directory / JOURNAL) > catalogue.checkpoint().lsn:
        for path in garbage:
            (directory / path).rename(_unused(directory / (path + SUFFIX)))
        return Garbage(kept=garbage)
    for path in garbage:
        (directory / path).unlink(missing_ok=True)
    return Garbage(deleted=garbage)


def unclaimed_files(directory: Path) -> list[str]:
    """Files that were put aside and are still there, sorted: somebody has to look at them."""
    return [path for path in own_files(directory) if is_own_path(path.partition(SUFFIX)[0]) and SUFFIX in path]


def _unused(path: Path) -> Path:
    """``path``, or where there is such a file already, the same with a number."""
    names = (path.with_name(path.name + (f".{number}" if number else "")) for number in count())
    return next(name for name in names if not name.exists())
