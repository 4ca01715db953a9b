"""Salvage: copies the undamaged row groups of a damaged block to a new block.

    damaged   | group 0 | group 1 ✗ | group 2 |          put aside whole, as it lies on the disk
    saved     | group 0 | group 2 |                      in its place, with its frames and its age

Nothing can be saved from a file that cannot be opened (a damaged footer, a wrong size). This file is for blocks of
samples and events, ``rollup/salvage.py`` for blocks of windows.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.names import EVENTS_KIND, IMPORT_KIND, RAW_KIND
from nissa.model.errors import Damaged
from nissa.model.slices import Slices
from nissa.model.units import EVER_MS
from nissa.store.block_run import block_run
from nissa.store.blocks import BlockWriter, OpenBlock, read_keys
from nissa.store.event_blocks import EventWriter
from nissa.store.event_runs import BlockRun

ALWAYS = (-(2**63), 2**63 - 1)


def save_sound_rows(directory: Path, catalogue: Catalogue, block: BlockRow) -> Slices[BlockRow | None]:
    """The sound rows of a block, written and synced; the row is the caller's to commit. None where there are none.

    A slice is a row group. Raises: OSError.
    """
    if block.kind not in (RAW_KIND, EVENTS_KIND, IMPORT_KIND):
        return None
    with ExitStack() as stack:
        try:
            groups = _sound_groups(directory, block, stack)
            writer = _writer(directory, catalogue, block)
        except Damaged:
            return None
        try:
            for rows in groups:
                writer.write(rows)
                yield 0.0
            if writer.rows:
                saved: BlockRow = writer.finish(block.first_lsn, block.last_lsn, [block.id])
                return msgspec.structs.replace(saved, tombstone=block.tombstone)
            writer.discard()
        except BaseException:  # raised again; the new file must not stay
            writer.discard()
            raise
    return None


def _writer(directory: Path, catalogue: Catalogue, block: BlockRow) -> Any:
    """Writer of a block in the place of another. Raises: Damaged where its footer is damaged, OSError."""
    if block.kind == EVENTS_KIND:
        return EventWriter(directory, catalogue.new_id(), level=block.level, created_ms=block.created_ms)
    keys_of = read_keys(directory, [block])
    number, level, created_ms = catalogue.new_id(), block.level, block.created_ms
    return BlockWriter(directory, number, level=level, created_ms=created_ms, kind=block.kind, keys_of=keys_of)


def _sound_groups(directory: Path, block: BlockRow, stack: ExitStack) -> Iterator[Any]:
    if block.kind in (RAW_KIND, IMPORT_KIND):
        opened = OpenBlock(directory, block)
        stack.callback(opened.close)
        return block_run(opened, None, *ALWAYS, passed_by)
    run = BlockRun(directory, block)
    stack.callback(run.close)
    return run.pieces(*EVER_MS, passed_by)


def passed_by(_: Damaged) -> None:
    """The damage is known already."""
