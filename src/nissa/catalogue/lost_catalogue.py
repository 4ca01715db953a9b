"""Detects a missing or empty catalogue in a directory with data.

Such a directory is not opened, because a new catalogue would treat all its files as orphaned.

    catalogue.sqlite              beside it
    ────────────────              ─────────
    missing, of 0 bytes,    and   blocks, series segments, or a         ──►  Damaged, nothing is changed
    or without tables             journal that begins behind frame 1

Blocks and series segments are whole Parquet and say in their footers what their rows said (``file_facts.py``).
"""

from pathlib import Path

from nissa.files.names import CATALOGUE, JOURNAL, RESTORE_MARKER, is_own_path, own_files
from nissa.journal.recovery import acknowledged_before
from nissa.model.errors import Damaged


def is_blank(path: Path) -> bool:
    """True if there is no catalogue at ``path``: no file, or one that never had a commit."""
    log = path.with_name(path.name + "-wal")
    return not any(one.exists() and one.stat().st_size for one in (path, log))


def refuse_unfinished_restore(directory: Path) -> None:
    """Refuse a directory that a restore has not completed. Raises: Damaged."""
    marker = directory / RESTORE_MARKER
    if marker.exists():
        raise Damaged(
            str(marker), "the restore into this directory is not complete: run the same nissa restore command again"
        )


def refuse_lost(directory: Path) -> None:
    """Refuse a directory that has no catalogue, but what one must have named. Raises: Damaged."""
    files = [path for path in own_files(directory) if is_own_path(path)]
    if files:
        found = f"{len(files)} files of blocks and series are there"
    elif lsn := acknowledged_before(directory / JOURNAL):
        found = f"the journal begins after frame {lsn}, so earlier frames were in blocks"
    else:
        return
    raise Damaged(
        str(directory / CATALOGUE),
        f"it is missing or empty, and {found}; nothing was changed. Restore the catalogue from a "
        f"backup, or rebuild it from the files: nissa rebuild {directory}. To start empty, move this directory away",
    )
