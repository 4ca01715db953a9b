"""Salvage of windows: of a damaged tier block, the row groups that are sound go into a new one.

    damaged    5m-6   | group 0 | group 1 ✗ | group 2 |
    later      5m-9        ▪ computed again after late samples: where it has a window, it is right
    saved      5m-12  | group 0 ▪ |  ▪  | group 2 |           with what was right, for now it has the highest id

The rule is that of ``merge.py``. As in ``store/salvage.py``, which does the same for samples and events, the damaged
block is put aside by the caller.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from nissa.model.errors import Damaged
from nissa.model.ladder import WindowBatch
from nissa.rollup.merge import merge_windows
from nissa.store.catalogue import BlockRow, Catalogue
from nissa.store.names import tier_of
from nissa.store.salvage import ALWAYS
from nissa.store.tier_blocks import SKETCH, OpenTierBlock, columns_kept, read_tier_block, write_windows


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


def save_sound_windows(
    directory: Path, catalogue: Catalogue, block: BlockRow, between: Callable[[], None]
) -> tuple[BlockRow | None, int]:
    """A new block, written and synced, and how many windows are lost. None where nothing can be saved.

    between: called all along; what it raises ends the work, and nothing stays. Raises: OSError.
    """
    known = (*catalogue.tiers(), *catalogue.tiers(unused=True))
    tiers = [row.tier for row in known if row.tier.name == tier_of(block.kind)]
    later = [one for one in catalogue.blocks(block.kind, block.min_ms, block.max_ms + 1) if one.id > block.id]
    try:
        opened = OpenTierBlock(directory, block)
    except (Damaged, FileNotFoundError):
        return None, block.rows
    try:
        if not tiers or (SKETCH in columns_kept(tiers[0])) != opened.has_sketches:
            return None, block.rows  # nobody keeps such windows any more
        sound = _Sound(opened)
        runs = [sound.run()]
        runs += [read_tier_block(directory, one, None, block.min_ms, block.max_ms + 1) for one in later]
        last_lsn = max(one.last_lsn for one in (block, *later))
        merged = _told(merge_windows(runs), between)
        number = catalogue.new_id()
        saved = write_windows(directory, number, tiers[0], merged, last_lsn, block.created_ms, block.kind)
    except Damaged:  # of a later block: what is right there cannot be told
        return None, block.rows
    finally:
        opened.close()
    return saved, block.rows - sound.rows


def _told(windows: Iterator[WindowBatch], between: Callable[[], None]) -> Iterator[WindowBatch]:
    for batch in windows:
        between()
        yield batch
