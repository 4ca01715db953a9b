"""Import blocks hold imported rows sorted and resolved, and wait until they are folded."""

from pathlib import Path

import msgspec
import numpy as np

from nissa.catalogue.catalogue import Catalogue
from nissa.model.columns import SampleBatch
from nissa.store.block_rows import rows_fault
from nissa.store.blocks import read_block
from nissa.store.import_blocks import FOLDED, waiting_imports, write_imports
from oracle.columns import bits_of, resolve


def batch_of(*rows: tuple[int, int, float]) -> SampleBatch:
    series, ts_ms, value = zip(*rows, strict=True)
    return SampleBatch(np.array(series, np.uint32), np.array(ts_ms, np.int64), np.array(value, np.float64))


def test_rows_are_sorted_and_resolved(tmp_path: Path) -> None:
    """Rows of all batches come back in order, one for each series and time, as the twin resolves them."""
    catalogue = Catalogue.open(tmp_path)
    rows = [(3, 20, 1.0), (1, 5, 2.0), (3, 20, 4.0), (1, 5, 2.0), (3, 10, 0.0)]
    written = write_imports(tmp_path, catalogue, [batch_of(*rows[:2]), batch_of(*rows[2:])], (4, 9), 1_000)
    (block,) = written.blocks
    assert (block.kind, block.level, block.first_lsn, block.last_lsn, block.created_ms) == ("import", 0, 4, 9, 1_000)
    assert rows_fault(tmp_path, block) == ""
    (found,) = read_block(tmp_path, block, None, 0, 100)
    kept, dropped = resolve([(series, ts_ms, bits_of(value)) for series, ts_ms, value in rows])
    bits = found.value.view(np.uint64).tolist()
    assert list(zip(found.series.tolist(), found.ts_ms.tolist(), bits, strict=True)) == kept
    assert written.duplicates.tolist() == sorted(dropped)
    assert written.conflicts.tolist() == [row for row, differs in sorted(dropped.items()) if differs]
    catalogue.close()


def test_nothing_is_no_block(tmp_path: Path) -> None:
    """Without rows no file is made."""
    catalogue = Catalogue.open(tmp_path)
    assert write_imports(tmp_path, catalogue, [], (1, 1), 0).blocks == ()
    assert list((tmp_path / "blocks").iterdir()) == []
    catalogue.close()


def test_folded_blocks_wait_no_more(tmp_path: Path) -> None:
    """A block waits until its level says that it is folded."""
    catalogue = Catalogue.open(tmp_path)
    blocks = write_imports(tmp_path, catalogue, [batch_of((1, 1, 1.0))], (1, 1), 0).blocks
    assert waiting_imports(blocks) == blocks
    assert waiting_imports([msgspec.structs.replace(blocks[0], level=FOLDED)]) == ()
    catalogue.close()
