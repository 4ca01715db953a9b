"""Salvage of windows: copies the undamaged row groups of a damaged tier block to a new block.

    damaged    5m-6   | group 0 | group 1 ✗ | group 2 |
    later      5m-9        ▪ computed again after late samples: where it has a window, it is right
    saved      5m-12  | group 0 ▪ |  ▪  | group 2 |           with what was right, for now it has the highest id

The rule is that of ``merge.py``. As in ``store/salvage.py``, which does the same for samples and events, the damaged
block is put aside by the caller.
"""

from collections.abc import Iterator
from pathlib import Path

from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.names import tier_of
from nissa.model.errors import Damaged
from nissa.model.ladder import WindowBatch
from nissa.model.slices import Slices
from nissa.rollup.merge import merge_windows
from nissa.rollup.tombstones import purged_windows
from nissa.store.salvage import ALWAYS
from nissa.store.tier_blocks import SKETCH, OpenTierBlock, columns_kept, read_tier_block, write_windows
from nissa.store.tombstones import Purge, read_tombstones


class _Sound:
    """The sound windows of a block, and how many there were."""

    def __init__(self, opened: OpenTierBlock) -> None:
        self._opened = opened
        self.rows = 0

    def run(self) -> Iterator[WindowBatch]:
        """One batch per row group that can be read."""
        for group in self._opened.groups(None, *ALWAYS).tolist():
            try:
                windows = self._opened.read_group(group, None, *ALWAYS, sketches=True)
            except Damaged:
                continue
            self.rows += len(windows)
            yield windows


def save_sound_windows(directory: Path, catalogue: Catalogue, block: BlockRow) -> Slices[tuple[BlockRow | None, int]]:
    """A new block, written and synced, and how many windows are lost. None where nothing can be saved. Raises: OSError.

    What is written of later blocks while this is cut into slices has a higher id, and so wins.
    """
    known = (*catalogue.tiers(), *catalogue.tiers(unused=True))
    tiers = [row.tier for row in known if row.tier.name == tier_of(block.kind)]
    later = [one for one in catalogue.blocks(block.kind, block.min_ms, block.max_ms + 1) if one.id > block.id]
    purge = Purge([one for one in read_tombstones(catalogue) if one.tiers is not None])
    try:
        opened = OpenTierBlock(directory, block)
    except Damaged:
        return None, block.rows
    try:
        if not tiers or (SKETCH in columns_kept(tiers[0])) != opened.has_sketches:
            return None, block.rows  # no tier keeps such windows any more
        sound = _Sound(opened)
        runs = [purged_windows(purge, block, sound.run())]
        for one in later:
            run = read_tier_block(directory, one, None, block.min_ms, block.max_ms + 1)
            runs.append(purged_windows(purge, one, run))
        last_lsn = max(one.last_lsn for one in (block, *later))
        place = (directory, catalogue.new_id(), tiers[0], merge_windows(runs))
        saved = yield from write_windows(*place, last_lsn, block.created_ms, block.kind, purge.newest)
    except Damaged:  # a later block is damaged: which windows it replaces is not known
        return None, block.rows
    finally:
        opened.close()
    return None if saved is None else purge.stamp(saved), block.rows - sound.rows
