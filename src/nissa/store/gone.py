"""Blocks whose file is missing, in a directory that another process writes: merged, expired, or lost.

    not there, and no row any more   ──► merged or expired: the new rows say where its data is now
    not there, and still a row       ──► missing: left out, and named in the answer

A file is deleted only after its row. So if a file is missing and its row still exists afterwards, the file is lost. The
process that writes the directory holds the files it reads, and needs none of this (``block_set.py``).
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import msgspec

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.checked_file import MISSING, FileGone
from nissa.files.names import locate
from nissa.store.quarantine import QuarantineRow

ATTEMPTS_MAX = 8  # each follows a commit of a running daemon between two looks

Answer = TypeVar("Answer")


class Present(msgspec.Struct, frozen=True):
    """The blocks of a catalogue. blocks: whose files are there. missing: what an answer says of the others."""

    blocks: tuple[BlockRow, ...]
    missing: tuple[QuarantineRow, ...] = ()


def read_again(read: Callable[[], Answer], refresh: Callable[[], None]) -> Answer:
    """``read()``; where a file was gone again after ``refresh``, ``ATTEMPTS_MAX`` times in all. Raises: FileGone."""
    for _ in range(ATTEMPTS_MAX - 1):
        try:
            return read()
        except FileGone:
            refresh()
    return read()


def present_blocks(directory: Path, catalogue: Catalogue) -> Present:
    """The blocks whose files are there, and those whose files are missing; a daemon may be writing meanwhile."""
    blocks = tuple(catalogue.blocks())
    for _ in range(ATTEMPTS_MAX):
        gone = {block.id for block in blocks if not is_there(directory, block)}
        if not gone:
            return Present(blocks)
        again = tuple(catalogue.blocks())
        if again == blocks:
            return split_blocks(blocks, gone)
        blocks = again
    return Present(blocks)  # a reader that finds one gone begins anew


def split_blocks(blocks: tuple[BlockRow, ...], missing: Collection[int]) -> Present:
    """The blocks without those whose ids are said to be missing."""
    if not missing:
        return Present(blocks)
    rows = tuple(missing_row(block) for block in blocks if block.id in missing)
    return Present(tuple(block for block in blocks if block.id not in missing), rows)


def is_there(directory: Path, block: BlockRow) -> bool:
    """True if there is a file of this name."""
    return locate(directory, block.path).exists()


def missing_row(block: BlockRow, found_ms: int = 0) -> QuarantineRow:
    """Damage reported for a block whose file is missing."""
    names = set(QuarantineRow.__struct_fields__) & set(BlockRow.__struct_fields__)
    return QuarantineRow(**{name: getattr(block, name) for name in names}, found_ms=found_ms, damage=MISSING)
