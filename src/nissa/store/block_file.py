"""A block being written: Parquet in a file under checksums, and what the catalogue is to say of it.

    begin                  note, for all that is written        finish                             discard
    ─────                  ─────────────────────────────        ──────                             ───────
    blocks/<kind>-<id>     rows, times, series                  footer; synced; its BlockRow       nothing stays

Knows no columns: who writes a kind of block decides on schema, encodings and row groups.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nissa.store.arrow_columns import one_thread
from nissa.store.catalogue import BlockRow
from nissa.store.checked_file import CheckedWriter
from nissa.store.names import block_path, locate

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PAGE_ROWS = 2**30  # without limit
GROWTH_GROUPS = 16


class BlockFile:
    """One block on its way. rows: noted so far."""

    def __init__(self, directory: Path, number: int, kind: str, *, level: int, created_ms: int) -> None:
        """The file is made at once.

        number: a new id of the catalogue. level: 0 for sealed heads, above for merged blocks.
        """
        one_thread()
        self._number, self._kind, self._level, self._created_ms = number, kind, level, created_ms
        self.path = block_path(kind, number)
        self._file = CheckedWriter(locate(directory, self.path))
        self._writer: Any = None
        self.rows = self._groups = 0
        self._min_ms = self._max_ms = self._series_min = self._series_max = 0

    def begin(self, schema: "pa.Schema", **encoding: Any) -> "pq.ParquetWriter":
        """What the rows are written with; ``finish`` and ``discard`` close it."""
        import pyarrow.parquet as pq  # heavy: the daemon receives before it is needed

        self._writer = pq.ParquetWriter(self._file, schema, store_schema=False, **_paging(), **encoding)
        return self._writer

    def note(self, rows: int, min_ms: int, max_ms: int, series_min: int = 0, series_max: int = 0) -> None:
        """Rows that are written behind all so far; at least one, sorted by series. Both ends inclusive."""
        if self.rows == 0:
            self._min_ms, self._max_ms, self._series_min = min_ms, max_ms, series_min
        self._min_ms, self._max_ms = min(self._min_ms, min_ms), max(self._max_ms, max_ms)
        self._series_max = series_max
        self.rows += rows

    def write_groups(self, table: "pa.Table", rows_min: int, rows_max: int, *, last: bool = True) -> "pa.Table":
        """Write row groups that grow with the block; returns the rows that are not written.

        The first GROWTH_GROUPS of a block have ``rows_min`` rows, the next ones twice as many, up to ``rows_max``. What
        is left over goes with the group before it, if ``last``, or is returned.
        """
        at = 0
        while left := len(table) - at:
            full = min(rows_min << self._groups // GROWTH_GROUPS, rows_max)
            if left < 2 * full and not last:
                break  # what comes behind it must not be less than a group
            count = left if left < 2 * full else full
            self._writer.write_table(table.slice(at, count), row_group_size=count)
            self._groups += 1
            at += count
        return table.slice(at)

    def finish(self, first_lsn: int, last_lsn: int) -> BlockRow:
        """Write the footer, sync file and directory. The block exists once its row is in the catalogue."""
        self._writer.close()
        seal = self._file.finish()
        return BlockRow(
            id=self._number,
            kind=self._kind,
            level=self._level,
            path=self.path,
            rows=self.rows,
            min_ms=self._min_ms,
            max_ms=self._max_ms,
            series_min=self._series_min,
            series_max=self._series_max,
            first_lsn=first_lsn,
            last_lsn=last_lsn,
            created_ms=self._created_ms,
            bytes=seal.bytes,
            crc=seal.crc,
            page_crcs=seal.page_crcs,
        )

    def discard(self) -> None:
        """Give up: nothing of the file stays."""
        if self._writer is not None:
            self._writer.is_open = False  # its footer would only be written to a file that goes
        self._file.discard()


@lru_cache(maxsize=1)
def _paging() -> dict[str, int]:
    """A page ends at its bytes (1 MiB), not at 20,000 rows as well, as from Arrow 22 on: each is compressed, and read,
    in a context of its own, which takes zstd 20 us on a virtual machine. Arrow 23 lets one say so."""
    import pyarrow as pa

    return {"max_rows_per_page": PAGE_ROWS} if int(pa.__version__.partition(".")[0]) >= 23 else {}
