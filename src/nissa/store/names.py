"""Names of the files in a data directory, all in one place; those of journal segments stand in ``segment.py``.

    catalogue.sqlite                          what exists (``catalogue.py``)
    blocks/raw-00000000000000000007.parquet   samples (``blocks.py``)
    blocks/events-00000000000000000008.parquet
    blocks/5m-00000000000000000009.parquet    windows of a tier (``tier_blocks.py``)
    series/series-00000000000000000001.parquet

Names are made of a kind and a number that is never used twice in one directory. A path that comes out of the
catalogue is believed only in this form, so nothing stored can lead a reader out of the directory.
"""

import re
from pathlib import Path

from nissa.model.errors import Damaged

CATALOGUE = "catalogue.sqlite"
JOURNAL = "journal"
BLOCKS = "blocks"
SERIES = "series"

RAW_KIND = "raw"
EVENTS_KIND = "events"

_TIER = r"[1-9][0-9]{0,11}(?:ms|s|m|h|d)"  # ``model.ladder.interval_name``
_PATH = re.compile(rf"(?:blocks/(?:raw|events|{_TIER})|series/series)-[0-9]{{20}}\.parquet")


def block_path(kind: str, number: int) -> str:
    """The path of a block, relative to the data directory."""
    return f"{BLOCKS}/{kind}-{number:020d}.parquet"


def is_tier_kind(kind: str) -> bool:
    """Whether blocks of this kind hold windows of a tier."""
    return re.fullmatch(_TIER, kind) is not None


def series_path(number: int) -> str:
    """The path of a segment of the series table, relative to the data directory."""
    return f"{SERIES}/series-{number:020d}.parquet"


def is_own_path(path: str) -> bool:
    """Whether ``path`` has the form of a block or a series segment."""
    return _PATH.fullmatch(path) is not None


def locate(directory: Path, path: str) -> Path:
    """The place of a path out of the catalogue. Raises: Damaged where it has any other form than Nissa writes."""
    if not is_own_path(path):
        raise Damaged(str(directory / CATALOGUE), f"it names the file {path[:80]!r}, which Nissa never wrote")
    return directory / path


def own_files(directory: Path) -> list[str]:
    """Relative paths of all files that lie where blocks and series segments lie, sorted, whatever their names."""
    found = []
    for room in (BLOCKS, SERIES):
        if (directory / room).is_dir():
            found += [f"{room}/{entry.name}" for entry in (directory / room).iterdir()]
    return sorted(found)
