"""The blocks of a directory in the process that writes it, and the files that open snapshots hold.

    version     1                 2                 3                     each change of the set is a new version
    blocks      a b c             a b d             a d e                 c and b were merged away
    snapshots   ●                                   ●                     each holds the version it was taken of
    files       c: of versions [1, 2)               kept while a snapshot of version 1 is open
                b: of versions [1, 3)               the same

The file of a block that has left the set is deleted once no open snapshot has a version that names it. A file missing
in this process is therefore damage. After a crash such files have no row in the catalogue, like those of an
interrupted merge: the next start handles them (``garbage.py``).

A snapshot is open until it is closed or garbage-collected. Both only remove its number from a list, without a lock or
file access, so they may happen anywhere, even in a finalizer. The maintenance thread deletes files.

Two threads change the list: the seal thread adds blocks; the maintenance thread replaces, drops and quarantines them.
Each change is one step under ``change``: first the rows of the catalogue, then the set and what belongs to it. A
thread that holds ``change`` therefore finds catalogue and set equal: every block up to the checkpoint is in the set.
The lock is held for one commit, never while blocks are read or written, so neither thread waits longer than that for
the other. The blocks that a merge has read may have left the list when it is published. The catalogue then refuses
(``BlocksChanged``), nothing has changed, and the merge is planned again.

Order of locks: ``change`` first, then ``lock`` or those of the catalogue. None is taken while one of the latter is
held.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

import msgspec
import structlog

from nissa.catalogue.catalogue import BlockRow, Catalogue, TierRow
from nissa.files.checked_file import sync_directory
from nissa.files.names import BLOCKS
from nissa.model.units import MINUTE_MS
from nissa.store.block_file import delete_blocks
from nissa.store.quarantine import QuarantineRow, read_quarantine, rename_damaged
from nissa.store.row_groups import RowGroupCache

OLD_MS = 10 * MINUTE_MS  # a snapshot open for so long is worth a warning, once in that time

log = structlog.get_logger()


class HeldBlocks:
    """Blocks, ladder and quarantine at one moment, with the files of the blocks until ``close`` or the last reference.

    What is read through a copy made before stays readable only until then.
    """

    __slots__ = ("_number", "_open", "blocks", "quarantine", "tiers")

    def __init__(
        self,
        state: tuple[tuple[BlockRow, ...], tuple[TierRow, ...], tuple[QuarantineRow, ...]],
        number: int,
        open_ones: dict[int, tuple[int, int]],
    ) -> None:
        """open_ones: the list of those that are open, where this has its number."""
        self.blocks, self.tiers, self.quarantine = state
        self._number, self._open = number, open_ones

    def close(self) -> None:
        """Let the files go. Again does nothing."""
        self._open.pop(self._number, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class HeldFacts(msgspec.Struct, frozen=True):
    """Open snapshots. oldest_ms: the age of the oldest. files, bytes: of blocks out of the set, not deleted yet."""

    snapshots: int
    oldest_ms: int
    files: int
    bytes: int


class _Superseded(msgspec.Struct, frozen=True):
    """A block out of the set. born, gone: versions [born, gone) name it. aside: where it is in quarantine now."""

    block: BlockRow
    born: int
    gone: int
    aside: QuarantineRow | None = None


class BlockSet:
    """The blocks there are, the ladder as it stands with them, and the quarantine. Safe from any thread.

    change: held over one change of catalogue and set. lock: for what readers must see change in the same step, such as
    the head that a new block takes the place of; never held over a commit.
    """

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        clock: Callable[[], int],
        row_groups: RowGroupCache | None = None,
    ) -> None:
        """The catalogue as it is now. clock: Unix milliseconds. row_groups: the cache of the directory."""
        self.change = threading.Lock()
        self.lock = threading.RLock()
        self.row_groups = row_groups or RowGroupCache(0)
        self.blocks: tuple[BlockRow, ...] = tuple(catalogue.blocks())
        self.tiers: tuple[TierRow, ...] = ()
        self.quarantine: tuple[QuarantineRow, ...] = tuple(read_quarantine(catalogue))
        self._directory, self._catalogue, self._clock = directory, catalogue, clock
        self.version = self._held_total = 0
        self._born: dict[int, int] = {}  # by block, where that is not version 0
        self._open: dict[int, tuple[int, int]] = {}  # by number: version, and when it was taken
        self._superseded: list[_Superseded] = []
        self._warned_ms = 0

    def hold(self) -> HeldBlocks:
        """Hold all current blocks. Cost: about 1 us, for any number of blocks."""
        with self.lock:
            self._held_total += 1
            self._open[self._held_total] = (self.version, self._clock())
            return HeldBlocks((self.blocks, self.tiers, self.quarantine), self._held_total, self._open)

    @property
    def on_disk(self) -> tuple[BlockRow, ...]:
        """All there are, and those that were merged or expired and whose files snapshots hold; none in quarantine."""
        with self.lock:
            return (*self.blocks, *(one.block for one in self._superseded if one.aside is None))

    def exchange(self, old: Sequence[BlockRow], new: Sequence[BlockRow]) -> None:
        """Put ``new`` in the place of ``old``, in the catalogue too. Raises: BlocksChanged, Unavailable, Damaged."""
        with self.change:
            self._catalogue.replace_blocks(old, new)
            self.replace(old, new)

    def replace(
        self, old: Iterable[BlockRow], new: Iterable[BlockRow], tiers: tuple[TierRow, ...] | None = None
    ) -> None:
        """The catalogue has ``new`` in the place of ``old``; the caller holds ``change``.

        tiers: the ladder from now on, if another. ``delete_unheld`` deletes the files of ``old``, but for blocks whose
        id is in ``new`` too.
        """
        with self.lock:
            self._change(old, new)
            self.tiers = self.tiers if tiers is None else tiers

    def put_aside(self, block: BlockRow, row: QuarantineRow, saved: BlockRow | None) -> None:
        """The catalogue has ``block`` in quarantine, and ``saved`` in its place; the caller holds ``change``.

        ``delete_unheld`` renames its file.
        """
        with self.lock:
            self._change((block,), () if saved is None else (saved,), row)
            self.quarantine += (row,)

    def delete_unheld(self) -> None:
        """Delete the files of blocks that left the set, as far as no snapshot holds them; rename those in quarantine.

        For the maintenance thread. Raises: OSError, to be called again.
        """
        free = self._unheld()
        for one in free:
            if one.aside is None:
                delete_blocks(self._directory, (one.block,))
            else:
                rename_damaged(self._directory, (one.aside,))
            with self.lock:
                self._superseded.remove(one)
                self._born.pop(one.block.id, None)
        if free:
            self.row_groups.keep_only([block.id for block in self.blocks])  # a snapshot may have read them until now
            sync_directory(self._directory / BLOCKS)

    @property
    def has_unheld(self) -> bool:
        """True where ``delete_unheld`` finds something to do."""
        return bool(self._superseded) and bool(self._unheld())

    def _unheld(self) -> list[_Superseded]:
        with self.lock:
            versions = {version for version, _ in self._open.copy().values()}
            return [one for one in self._superseded if not any(one.born <= held < one.gone for held in versions)]

    def facts(self) -> HeldFacts:
        """Facts for status and metrics."""
        with self.lock:
            superseded = list(self._superseded)
            taken = [taken_ms for _, taken_ms in self._open.copy().values()]
        oldest_ms = max(self._clock() - min(taken), 0) if taken else 0
        return HeldFacts(len(taken), oldest_ms, len(superseded), sum(one.block.bytes for one in superseded))

    def warn_of_old(self) -> None:
        """Log a snapshot that is open for long and holds files."""
        facts, now_ms = self.facts(), self._clock()
        if facts.files and facts.oldest_ms >= OLD_MS and abs(now_ms - self._warned_ms) >= OLD_MS:
            self._warned_ms = now_ms
            log.warning(
                "long-running query or export keeps replaced block files on disk", **msgspec.structs.asdict(facts)
            )

    def _change(self, old: Iterable[BlockRow], new: Iterable[BlockRow], aside: QuarantineRow | None = None) -> None:
        self.version += 1
        gone, added = {block.id: block for block in old}, list(new)
        kept = [block for block in self.blocks if block.id not in gone]
        self.blocks = tuple(sorted([*kept, *added], key=_id_of))
        for block in added:
            if block.id not in gone:
                self._born[block.id] = self.version
        stays = {block.id for block in added}  # another row of the same file
        self._superseded += [
            _Superseded(block, self._born.get(number, 0), self.version, aside)
            for number, block in gone.items()
            if number not in stays
        ]
        if gone:
            self.row_groups.keep_only([block.id for block in self.blocks])


def _id_of(block: BlockRow) -> int:
    return block.id
