"""Folding import blocks into the ladder: a part of the ladder job, once it is written as far as it can be.

    import blocks, level 0 ──► windows in files, synced ──► one transaction: blocks of windows, level 1, what is
                                                            incomplete below

If it ends before the transaction, nothing has changed, and it is repeated after the next seal or start. Import blocks
are folded once the ladder is written past their last sample, and knows all raw blocks: imported rows may share a window
with rows received before, when this window was stored like live ones.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog

from nissa.catalogue.catalogue import BlockRow, Catalogue, TierRow, insert_rows, remove_rows
from nissa.files.names import IMPORT_KIND, RAW_KIND
from nissa.model.errors import BlocksChanged
from nissa.model.ladder import RetentionPolicy, Tier
from nissa.model.slices import Slices
from nissa.rollup.by_retention import RetentionSplitter
from nissa.rollup.fold import tiers_of_samples
from nissa.rollup.import_zones import ImportZone, import_zones
from nissa.rollup.imports import ImportCounts, ImportFold, sources_of_import
from nissa.store.block_file import delete_blocks
from nissa.store.block_series import series_in
from nissa.store.block_set import BlockSet
from nissa.store.blocks import read_block
from nissa.store.import_blocks import FOLDED, waiting_imports
from nissa.store.read import Snapshot
from nissa.store.tombstones import Purge, Tombstones, raise_expired

ROWS_AT_ONCE = 256 * 1024 * 1024  # of import blocks folded in one transaction, or one block of more

log = structlog.get_logger()


class ImportFolder:
    """Folds import blocks. For the maintenance thread, but for ``facts``."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        blocks: BlockSet,
        tombstones: Tombstones,
        clock: Callable[[], int],
        keeping: RetentionPolicy | None = None,
    ) -> None:
        """clock: Unix milliseconds. keeping: policies, where there are any."""
        self._directory, self._catalogue, self._blocks = directory, catalogue, blocks
        self._tombstones, self._clock, self._keeping = tombstones, clock, keeping
        self._counts = ImportCounts()
        self._samples = 0

    @property
    def reach_ms(self) -> int | None:
        """The end of the newest sample that waits: the ladder is to be written past it. None where none waits."""
        waiting = waiting_imports(self._blocks.blocks)
        return max((block.max_ms + 1 for block in waiting), default=None)

    def facts(self, in_memory: int = 0) -> dict[str, Any]:
        """Facts for ``/api/status``: samples that wait, in_memory among them; samples and windows since the start."""
        waiting = in_memory + sum(block.rows for block in waiting_imports(self._blocks.blocks))
        return {"waiting": waiting, "folded": self._samples, **msgspec.structs.asdict(self._counts)}

    def advance(self, rows: Sequence[TierRow], lsn: int) -> Slices[None]:
        """Fold waiting imports, until a head is sealed: the ladder comes first then.

        rows: the ladder, as it is written of the frames up to lsn.
        Raises: BlocksChanged where a block that was folded has gone meanwhile; Damaged, OSError, Unavailable.
        """
        while True:
            with self._blocks.change:
                held, tombstones = self._blocks.hold(), self._tombstones.all
            with held:
                chosen = self._chosen(held.blocks, rows)
                if not chosen or any(block.kind == RAW_KIND and block.last_lsn > lsn for block in held.blocks):
                    return
                place = (self._directory, held.blocks, (), tuple(rows), held.quarantine, self._keeping)
                store = Snapshot(*place, tombstones=tombstones, expired=self._tombstones.expired)
                yield from self._fold(store, chosen, lsn)

    def _chosen(self, blocks: Sequence[BlockRow], rows: Sequence[TierRow]) -> list[BlockRow]:
        """Import blocks to fold at once: the oldest of those that the ladder is written past."""
        made = tiers_of_samples([row.tier for row in rows])
        until_ms = min((row.written_until_ms for row in rows[:made]), default=-(2**63))
        chosen: list[BlockRow] = []
        total = 0
        for block in waiting_imports(blocks):
            total += block.rows
            if block.max_ms < until_ms and (not chosen or total <= ROWS_AT_ONCE):
                chosen.append(block)
        return chosen

    def _fold(self, store: Snapshot, chosen: Sequence[BlockRow], lsn: int) -> Slices[None]:
        folded = [block for block in store.blocks if block.kind == IMPORT_KIND and block.level >= FOLDED]
        held = [*(block for block in store.blocks if block.kind == RAW_KIND), *folded]
        zones = self._zones(store, chosen)
        purge = Purge(store.tombstones)
        fold = ImportFold(sources_of_import(store, chosen, held), partial(self._writer, purge.newest))
        try:
            yield from fold.run(zones, lsn)
        except BaseException:  # raised again; the files must not stay
            delete_blocks(self._directory, fold.blocks)
            raise
        added = [purge.stamp(block) for block in fold.blocks]
        self._commit(chosen, added, zones)
        samples = sum(block.rows for block in chosen)
        fold.counts.kept_samples += self._outside(chosen, zones)
        self._samples += samples
        for name in ImportCounts.__struct_fields__:
            setattr(self._counts, name, getattr(self._counts, name) + getattr(fold.counts, name))
        log.info("imported samples were folded", samples=samples, **msgspec.structs.asdict(fold.counts))

    def _zones(self, store: Snapshot, chosen: Sequence[BlockRow]) -> list[ImportZone]:
        span = min(block.min_ms for block in chosen), max(block.max_ms for block in chosen)
        now_ms, terms = self._clock(), (store.tiers, store.expired)
        if self._keeping is None:
            return import_zones(*terms, now_ms, span)
        series = np.unique(np.concatenate([series_in(self._directory, block) for block in chosen]))
        groups = self._keeping.groups(series)
        return [zone for policy, own in groups for zone in import_zones(*terms, now_ms, span, own, policy)]

    def _outside(self, chosen: Sequence[BlockRow], zones: Sequence[ImportZone]) -> int:
        """Number of samples that are older than the retention of every tier."""
        oldest_ms = min((zone.start_ms for zone in zones), default=2**63 - 1)
        early = [block for block in chosen if block.min_ms < oldest_ms]
        return sum(
            len(rows) for block in early for rows in read_block(self._directory, block, None, -(2**63), oldest_ms)
        )

    def _commit(self, chosen: Sequence[BlockRow], added: Sequence[BlockRow], zones: Sequence[ImportZone]) -> None:
        """Commit in one transaction. If it fails, the catalogue on disk may name the new files, so they stay."""
        folded = [msgspec.structs.replace(block, level=FOLDED) for block in chosen]
        incomplete: dict[str, int] = {}
        for zone in zones:
            for kind, until_ms in zone.incomplete.items():
                incomplete[kind] = max(until_ms, incomplete.get(kind, until_ms))
        try:
            with self._blocks.change:
                with self._catalogue.transaction("block", "expired") as db:
                    remove_rows(db, chosen)
                    insert_rows(db, "block", [*folded, *added])
                    raise_expired(db, incomplete.items())
                self._blocks.replace(chosen, [*folded, *added])
                self._tombstones.expire_until(incomplete)
        except BlocksChanged:  # raised again; nothing was committed
            delete_blocks(self._directory, added)
            raise

    def _writer(self, tombstone: int, tier: Tier) -> RetentionSplitter:
        return RetentionSplitter(self._directory, self._catalogue, tier, self._clock(), self._keeping, tombstone)
