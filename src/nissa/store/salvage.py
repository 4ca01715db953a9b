"""Salvage: of a damaged raw block, the row groups that are sound go into a new one. Damage costs what it hit, no more.

    damaged   | group 0 | group 1 ✗ | group 2 |          put aside whole, as it lies on the disk
    saved     | group 0 | group 2 |                      in its place, with its frames and its age

What cannot be opened at all (a damaged footer, another size) has nothing to be saved.
"""

from collections.abc import Callable
from pathlib import Path

from nissa.model.errors import Damaged
from nissa.store.blocks import BlockWriter, OpenBlock
from nissa.store.catalogue import BlockRow, Catalogue
from nissa.store.names import RAW_KIND
from nissa.store.read import block_run

START_MS, END_MS = -(2**63), 2**63 - 1


def save_sound_rows(
    directory: Path, catalogue: Catalogue, block: BlockRow, between: Callable[[], None]
) -> BlockRow | None:
    """The sound rows of a block, written and synced; the row is the caller's to commit. None where there are none.

    between: called once per row group; what it raises ends the work, and nothing stays. Raises: OSError.
    """
    if block.kind != RAW_KIND:
        return None
    try:
        opened = OpenBlock(directory, block)
    except (Damaged, FileNotFoundError):
        return None
    writer = BlockWriter(directory, catalogue.new_id(), level=block.level, created_ms=block.created_ms)
    try:
        for batch in block_run(opened, None, START_MS, END_MS, _passed_by):
            writer.write(batch)
            between()
        if writer.rows:
            return writer.finish(block.first_lsn, block.last_lsn)
        writer.discard()
    except BaseException:  # raised again; the new file must not stay
        writer.discard()
        raise
    finally:
        opened.close()
    return None


def _passed_by(_: Damaged) -> None:
    """The damage is known already."""
