"""A block being written: a checksummed Parquet file, and its future row of the catalogue.

    begin                  note, for all that is written        finish                             discard
    ─────                  ─────────────────────────────        ──────                             ───────
    blocks/<kind>-<id>     rows, times, series                  footer with the series; synced;    nothing stays
                                                                its BlockRow

It does not know the columns: the writer of each kind of block decides on schema, encodings and row groups.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nissa.catalogue.catalogue import BlockRow
from nissa.files.arrow_columns import one_thread
from nissa.files.checked_file import CheckedWriter, FileSeal
from nissa.files.file_facts import BlockFacts, add_facts
from nissa.files.names import block_path, locate
from nissa.model.columns import SeriesColumn
from nissa.model.ladder import Tier
from nissa.store.block_series import SERIES_KEY, SeriesCollector

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PAGE_ROWS = 2**30  # without limit
GROWTH_GROUPS = 16


def delete_blocks(directory: Path, blocks: Iterable[BlockRow]) -> None:
    """Delete the files of blocks that are not read any more. Raises: OSError."""
    for block in blocks:
        locate(directory, block.path).unlink(missing_ok=True)


class BlockFile:
    """One block on its way. rows: noted so far."""

    def __init__(
        self, directory: Path, number: int, kind: str, *, level: int, created_ms: int, tombstone: int = 0
    ) -> None:
        """The file is made at once.

        number: a new id of the catalogue. level: 0 for sealed heads, above for merged blocks. tombstone: of the row.
        """
        one_thread()
        self._tombstone = tombstone
        self._number, self._kind, self._level, self._created_ms = number, kind, level, created_ms
        self.path = block_path(kind, number)
        self._file = CheckedWriter(locate(directory, self.path))
        self._writer: Any = None
        self.rows = self._groups = 0
        self._min_ms = self._max_ms = self._series_min = self._series_max = 0
        self._series = SeriesCollector()

    def begin(self, schema: "pa.Schema", **encoding: Any) -> "pq.ParquetWriter":
        """Writer of the rows; ``finish`` and ``discard`` close it."""
        import pyarrow.parquet as pq  # heavy: the daemon receives before it is needed

        self._writer = pq.ParquetWriter(self._file, schema, store_schema=False, **_paging(), **encoding)
        return self._writer

    def note(self, rows: int, min_ms: int, max_ms: int, series: SeriesColumn | None = None) -> None:
        """Rows that are written behind all so far; at least one. Both ends inclusive.

        series: of the rows, sorted; None in blocks without series.
        """
        if self.rows == 0:
            self._min_ms, self._max_ms = min_ms, max_ms
        self._min_ms, self._max_ms = min(self._min_ms, min_ms), max(self._max_ms, max_ms)
        if series is not None:
            self._series_min = self._series_min if self.rows else int(series[0])
            self._series_max = int(series[-1])
            self._series.add(series)
        self.rows += rows

    def write_groups(self, table: "pa.Table", rows_min: int, rows_max: int, *, last: bool = True) -> "pa.Table":
        """Write row groups that grow with the block; returns the rows that are not written.

        The first GROWTH_GROUPS of a block have ``rows_min`` rows, the next ones twice as many, up to ``rows_max``. What
        is left over goes with the group before it, if ``last``, or is returned.
        """
        at = 0
        while left := len(table) - at:
            count = self.next_group_rows(left, rows_min, rows_max)
            if count == left and not last:
                break  # what comes behind it must not be less than a group
            self.write_group(table.slice(at, count))
            at += count
        return table.slice(at)

    def next_group_rows(self, left: int, rows_min: int, rows_max: int) -> int:
        """Rows of the next row group, of ``left`` ones that are written. Others: as of ``write_groups``."""
        full = min(rows_min << self._groups // GROWTH_GROUPS, rows_max)
        return left if left < 2 * full else full

    def write_group(self, table: "pa.Table") -> None:
        """Write a row group."""
        self._writer.write_table(table, row_group_size=len(table))
        self._groups += 1

    def add_text(self, key: bytes, value: bytes) -> None:
        """Put a text of one's own into the footer."""
        self._writer.add_key_value_metadata({key: value})

    def finish(self, first_lsn: int, last_lsn: int, sources: Sequence[int] = (), tier: Tier | None = None) -> BlockRow:
        """Write the footer, sync file and directory. The block exists once its row is in the catalogue.

        sources: ids of the blocks whose rows these are. tier: of a block of windows.
        """
        facts = BlockFacts(
            id=self._number,
            kind=self._kind,
            level=self._level,
            rows=self.rows,
            min_ms=self._min_ms,
            max_ms=self._max_ms,
            series_min=self._series_min,
            series_max=self._series_max,
            first_lsn=first_lsn,
            last_lsn=last_lsn,
            created_ms=self._created_ms,
            sources=tuple(sources),
            retention_ms=tier.retention_ms if tier else 0,
            aggregates=tier.aggregates if tier else (),
            tombstone=self._tombstone,
        )
        add_facts(self._writer, facts)
        series = self._series.finish()
        if series is not None:
            self._writer.add_key_value_metadata({SERIES_KEY: series})
        self._writer.close()
        return block_row(facts, self._file.finish())

    def discard(self) -> None:
        """Give up: nothing of the file stays."""
        if self._writer is not None:
            self._writer.is_open = False  # its footer would only be written to a file that goes
        self._file.discard()


def block_row(facts: BlockFacts, seal: FileSeal) -> BlockRow:
    """The catalogue's row of a block that says this of itself."""
    fields = {name: getattr(facts, name) for name in BlockRow.__struct_fields__ if hasattr(facts, name)}
    path = block_path(facts.kind, facts.id)
    return BlockRow(**fields, path=path, bytes=seal.bytes, crc=seal.crc, page_crcs=seal.page_crcs)


@lru_cache(maxsize=1)
def _paging() -> dict[str, int]:
    """A page ends at its bytes (1 MiB), not at 20,000 rows as well, as from Arrow 22 on: each is compressed, and read,
    in a context of its own, which takes zstd 20 us on a virtual machine. Arrow 23 lets one say so."""
    import pyarrow as pa

    return {"max_rows_per_page": PAGE_ROWS} if int(pa.__version__.partition(".")[0]) >= 23 else {}
