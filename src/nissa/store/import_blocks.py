"""Import blocks: samples older than the acceptance window, until they are folded into the ladder and a while longer.

    blocks/import-<id>.parquet      the rows of a raw block, sorted by series, then time     level 0  waits to be folded
                                                                                             level 1  folded
                                                                                                 │ ladder.raw_retention
                                                                                                 ▼ after it was written
                                                                                               deleted

Queries do not read them; they read the windows they were folded into (``ingest/import_fold.py``). Folded blocks are
retained as the source of their windows, so that further samples can be folded in.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from nissa._fast.columns import SortedRows
from nissa.catalogue.catalogue import BlockRow, Catalogue
from nissa.files.names import IMPORT_KIND
from nissa.model.columns import SampleBatch
from nissa.store.blocks import GROUP_ROWS, BlockWriter

FOLDED = 1  # the level of an import block whose rows are in the ladder


class ImportedRows(msgspec.Struct, frozen=True):
    """Result of writing imported rows.

    duplicates: uint32, row numbers over all batches, ascending, of rows that repeat another one's series and time.
    conflicts: those of them whose value has other bits.
    """

    blocks: tuple[BlockRow, ...]
    duplicates: npt.NDArray[np.uint32]
    conflicts: npt.NDArray[np.uint32]


def write_imports(
    directory: Path, catalogue: Catalogue, batches: Sequence[SampleBatch], lsn: tuple[int, int], created_ms: int
) -> ImportedRows:
    """Sort, resolve and write imported rows as one block, synced; it exists once the catalogue has its row.

    batches: in order of arrival. lsn: of the first and the last frame. created_ms: Unix milliseconds.
    Raises: OSError where the disk refuses; nothing stays then.
    """
    nothing = np.empty(0, np.uint32)
    parts = [(batch.series, batch.ts_ms, batch.value) for batch in batches if len(batch)]
    if not parts:
        return ImportedRows((), nothing, nothing)
    rows = SortedRows(parts)
    writer = BlockWriter(directory, catalogue.new_id(), level=0, created_ms=created_ms, kind=IMPORT_KIND)
    try:
        while True:
            series, ts_ms, value, _ = rows.next_rows(GROUP_ROWS)
            if not len(series):
                break
            writer.write(SampleBatch(series, ts_ms, value))
        block = writer.finish(*lsn)
    except BaseException:  # raised again; the file must not stay
        writer.discard()
        raise
    dropped, differs = rows.dropped_rows()
    return ImportedRows((block,), np.sort(dropped), np.sort(dropped[differs != 0]))


def waiting_imports(blocks: Sequence[BlockRow]) -> tuple[BlockRow, ...]:
    """Import blocks that the ladder has not folded yet, of these blocks."""
    return tuple(block for block in blocks if block.kind == IMPORT_KIND and block.level < FOLDED)
