"""Puts a damaged block aside: its sound rows go into a new block, the file goes into the quarantine.

daemon          at the second reading in a row that finds damage      (scrubber.py)
nissa repair    whatever does not fit its checksum                    (ingest/repair.py)
nissa rebuild   whatever Parquet cannot read                          (ingest/rebuild.py)
"""

from pathlib import Path

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.names import is_tier_kind
from nissa.model.slices import Slices
from nissa.rollup.salvage import save_sound_windows
from nissa.store.quarantine import QuarantineRow, put_aside
from nissa.store.salvage import save_sound_rows


def save_sound(directory: Path, catalogue: Catalogue, block: BlockRow) -> Slices[tuple[BlockRow | None, int]]:
    """A block of the sound rows of a damaged one, written and synced, if there are any, and how many rows are lost.

    Raises: OSError, Unavailable, Damaged.
    """
    if is_tier_kind(block.kind):
        return (yield from save_sound_windows(directory, catalogue, block))
    saved = yield from save_sound_rows(directory, catalogue, block)
    return saved, block.rows - (0 if saved is None else saved.rows)


def quarantine_block(
    directory: Path, catalogue: Catalogue, block: BlockRow, damage: str, now_ms: int
) -> Slices[tuple[QuarantineRow, BlockRow | None]]:
    """Its row of the quarantine, and the block of its sound rows; both stand in the catalogue then.

    For a directory without an engine. The file has its name still (``rename_damaged``). damage: in words. now_ms: Unix
    milliseconds. Raises: OSError, Unavailable, Damaged; nothing has changed then.
    """
    saved, lost = yield from save_sound(directory, catalogue, block)
    return put_aside(catalogue, block, damage, now_ms, saved, lost), saved
