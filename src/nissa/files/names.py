"""Names of the files in a data directory, all in one place; those of journal segments stand in ``segment.py``.

    catalogue.sqlite                          what exists (``catalogue.py``)
    state.sqlite                              what changes often: cursors (``state.py``)
    database.sqlite                           alerts, silences, SLO snapshots (``database/``)
    manifest.json                             the same for programs without SQLite (``manifest.py``)
    blocks/raw-00000000000000000007.parquet   samples (``blocks.py``)
    blocks/events-00000000000000000008.parquet
    blocks/import-00000000000000000011.parquet  samples older than the acceptance window (``import_blocks.py``)
    blocks/5m-00000000000000000009.parquet    windows of a tier (``tier_blocks.py``)
    blocks/5m~30d-00000000000000000010.parquet  windows of series that a policy keeps for 30 days there
    series/series-00000000000000000001.parquet
    copies/series-00000000000000000001.parquet  the same bytes once more (``series_copy.py``)
    dead-letters/NAME.jsonl                   what the sink NAME refuses (``forwarders/dead_letters.py``)
    restore.unfinished                        there while a restore is not complete (``backup/restore.py``)

A file that is being written has ``.unfinished`` behind its name until all of it is synced.

Names are made of a kind and a number that is never used twice in one directory. A path that comes out of the
catalogue is believed only in this form, so nothing stored can lead a reader out of the directory.
"""

import re
from pathlib import Path

from nissa.model.errors import Damaged

CATALOGUE = "catalogue.sqlite"
STATE = "state.sqlite"
DATABASE = "database.sqlite"
JOURNAL = "journal"
BLOCKS = "blocks"
SERIES = "series"
COPIES = "copies"
DEAD_LETTERS = "dead-letters"
RESTORE_MARKER = "restore.unfinished"
UNFINISHED = ".unfinished"  # behind the name of a file that is being written

RAW_KIND = "raw"
EVENTS_KIND = "events"
IMPORT_KIND = "import"

_INTERVAL = r"[1-9][0-9]{0,13}(?:ms|s|m|h|d)"  # ``model.ladder.interval_name``
_TIER = rf"{_INTERVAL}(?:~{_INTERVAL})?"
_PATH = re.compile(rf"(?:blocks/(?:raw|events|import|{_TIER})|(?:series|copies)/series)-[0-9]{{20}}\.parquet")

_NUMBER = re.compile(r"-([0-9]{20})\.parquet")


def block_path(kind: str, number: int) -> str:
    """The path of a block, relative to the data directory."""
    return f"{BLOCKS}/{kind}-{number:020d}.parquet"


def is_tier_kind(kind: str) -> bool:
    """True if blocks of this kind hold windows of a tier."""
    return re.fullmatch(_TIER, kind) is not None


def tier_kind(tier: str, kept: str = "") -> str:
    """The kind of blocks of a tier. kept: how long a policy keeps them; empty where the tier decides."""
    return f"{tier}~{kept}" if kept else tier


def tier_of(kind: str) -> str:
    """The tier whose windows blocks of this kind hold; raw and events are their own."""
    return kind.partition("~")[0]


def kept_of(kind: str) -> str:
    """Retention of blocks of this kind under a policy; empty where policies do not apply."""
    return kind.partition("~")[2]


def series_path(number: int) -> str:
    """The path of a segment of the series table, relative to the data directory."""
    return f"{SERIES}/series-{number:020d}.parquet"


def copy_path(path: str) -> str:
    """The path of the second copy of a segment of the series table."""
    return f"{COPIES}/{path.rpartition('/')[2]}"


def is_own_path(path: str) -> bool:
    """True if ``path`` has the form of a block, a series segment or a copy of one."""
    return _PATH.fullmatch(path) is not None


def number_of(path: str) -> int:
    """The number in the name of a block or series segment, whatever its suffix; 0 where there is none."""
    found = _NUMBER.search(path)
    return int(found[1]) if found else 0


def is_unfinished_path(path: str) -> bool:
    """True if ``path`` has the form of a block or a series segment that is being written."""
    return path.endswith(UNFINISHED) and is_own_path(path.removesuffix(UNFINISHED))


def locate(directory: Path, path: str) -> Path:
    """The place of a path out of the catalogue. Raises: Damaged where it has any other form than Nissa writes."""
    if not is_own_path(path):
        raise Damaged(str(directory / CATALOGUE), f"it lists the file {path[:80]!r}, which is no file name of Nissa")
    return directory / path


def own_files(directory: Path) -> list[str]:
    """Relative paths of all files that lie where blocks and series segments lie, sorted, whatever their names."""
    found = []
    for room in (BLOCKS, COPIES, SERIES):
        if (directory / room).is_dir():
            found += [f"{room}/{entry.name}" for entry in (directory / room).iterdir()]
    return sorted(found)
