"""Salvage: of a damaged block, the row groups that are sound go into a new one. Damage costs what it hit, no more.

    damaged   | group 0 | group 1 ✗ | group 2 |          put aside whole, as it lies on the disk
    saved     | group 0 | group 2 |                      in its place, with its frames and its age

What cannot be opened at all (a damaged footer, another size) has nothing to be saved. Blocks of samples and of events
are saved here, blocks of windows in ``rollup/salvage.py``.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nissa.model.errors import Damaged
from nissa.store.blocks import BlockWriter, OpenBlock
from nissa.store.catalogue import BlockRow, Catalogue
from nissa.store.event_blocks import EventWriter
from nissa.store.event_runs import BlockRun
from nissa.store.names import EVENTS_KIND, RAW_KIND
from nissa.store.read import block_run

ALWAYS = (-(2**63), 2**63 - 1)


def save_sound_rows(
    directory: Path, catalogue: Catalogue, block: BlockRow, between: Callable[[], None]
) -> BlockRow | None:
    """The sound rows of a block, written and synced; the row is the caller's to commit. None where there are none.

    between: called once per row group; what it raises ends the work, and nothing stays. Raises: OSError.
    """
    if block.kind not in (RAW_KIND, EVENTS_KIND):
        return None
    make_writer: Any = BlockWriter if block.kind == RAW_KIND else EventWriter
    with ExitStack() as stack:
        try:
            groups = _sound_groups(directory, block, stack)
        except (Damaged, FileNotFoundError):
            return None
        writer = make_writer(directory, catalogue.new_id(), level=block.level, created_ms=block.created_ms)
        try:
            for rows in groups:
                writer.write(rows)
                between()
            if writer.rows:
                saved: BlockRow = writer.finish(block.first_lsn, block.last_lsn)
                return saved
            writer.discard()
        except BaseException:  # raised again; the new file must not stay
            writer.discard()
            raise
    return None


def _sound_groups(directory: Path, block: BlockRow, stack: ExitStack) -> Iterator[Any]:
    if block.kind == RAW_KIND:
        opened = OpenBlock(directory, block)
        stack.callback(opened.close)
        return block_run(opened, None, *ALWAYS, passed_by)
    run = BlockRun(directory, block)
    stack.callback(run.close)
    return run.pieces(*ALWAYS, passed_by)


def passed_by(_: Damaged) -> None:
    """The damage is known already."""
