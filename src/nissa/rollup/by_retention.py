"""Splits the windows of a tier by retention: one block per retention period, and no windows of series that have none.

    windows of 5m   a a a b b c c c      a as the tier says, b for 30 days, c not at all
                    ▼     ▼
                    5m-…  5m~30d-…       blocks are deleted whole, so each retention period has its own

Retention is a function of series and start, so a rewritten window is in a block of the same kind as before.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.names import tier_kind
from nissa.model.ladder import AS_THE_TIER, RetentionPolicy, Tier, WindowBatch, interval_name
from nissa.rollup.windows import take_windows
from nissa.store.tier_blocks import TierWriter


def only_kept(keeping: RetentionPolicy | None, tier: Tier, windows: WindowBatch) -> WindowBatch:
    """Return the windows whose retention is not 0.

    keeping: policies; None: all are stored. tier: of the windows. windows: to filter.
    """
    if keeping is None or not len(windows):
        return windows
    kept = keeping.kept_ms(tier, windows.series, windows.start_ms) != 0
    return windows if kept.all() else take_windows(windows, np.flatnonzero(kept))


def by_kind(keeping: RetentionPolicy | None, tier: Tier, windows: WindowBatch) -> Iterator[tuple[str, WindowBatch]]:
    """Yield windows with the kind of block they are stored in.

    keeping: policies; None: one kind. tier: of the windows. windows: to split.
    """
    if keeping is None or not len(windows):
        yield tier.name, windows
        return
    kept = keeping.kept_ms(tier, windows.series, windows.start_ms)
    for one in np.unique(kept).tolist():
        if one:
            rows = np.flatnonzero(kept == one)
            yield kind_for(tier, one), windows if len(rows) == len(windows) else take_windows(windows, rows)


def kind_for(tier: Tier, kept_ms: int) -> str:
    """The kind of block for windows that are kept so long; not for 0."""
    return tier_kind(tier.name, "" if kept_ms == AS_THE_TIER else interval_name(kept_ms))


class RetentionSplitter:
    """Blocks of one tier being written, one for each length of time that windows are kept."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        tier: Tier,
        created_ms: int,
        keeping: RetentionPolicy | None,
        tombstone: int = 0,
    ) -> None:
        """created_ms: Unix milliseconds. keeping: policies, where there are any. tombstone: as ``TierWriter`` takes
        it."""
        self._directory, self._catalogue, self._created_ms = directory, catalogue, created_ms
        self._tombstone = tombstone
        self._tier, self._keeping = tier, keeping
        self._writers: dict[str, TierWriter] = {}

    def write(self, windows: WindowBatch) -> None:
        """Add rows that come after all rows so far."""
        for kind, part in by_kind(self._keeping, self._tier, windows):
            if len(part):
                self._writer(kind).write(part)

    def finish(self, last_lsn: int) -> list[BlockRow]:
        """Blocks, synced. They exist once their rows are in the catalogue."""
        return [writer.finish(last_lsn) for writer in self._writers.values()]

    def discard(self) -> None:
        """Give up: nothing of the files stays."""
        for writer in self._writers.values():
            writer.discard()

    def _writer(self, kind: str) -> TierWriter:
        if kind not in self._writers:
            number = self._catalogue.new_id()
            self._writers[kind] = TierWriter(
                self._directory, number, self._tier, self._created_ms, kind, self._tombstone
            )
        return self._writers[kind]
