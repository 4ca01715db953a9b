"""Event blocks: events as Parquet, sorted by time; events of one millisecond stay in order of arrival.

    blocks/events-<id>.parquet
    time_ms   level   source   event_id   description   attributes: map<string, string>   packet_id

time_ms int64 (Unix milliseconds), level uint8 (Leyline's TelemetryLevel), the rest text. Attributes keep the sender's
order.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nissa.model.columns import EventBatch, TextColumn
from nissa.model.errors import Damaged
from nissa.store.arrow_columns import arrow_column, arrow_text
from nissa.store.catalogue import BlockRow
from nissa.store.checked_file import CheckedReader, CheckedWriter
from nissa.store.names import EVENTS_KIND, block_path, locate

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 64 * 1024
ZSTD_LEVEL = 3
TEXTS = ("source", "event_id", "description", "packet_id")


def write_events(
    directory: Path, number: int, batches: Sequence[EventBatch], first_lsn: int, last_lsn: int, created_ms: int
) -> BlockRow:
    """Write and sync a block of at least one event.

    Nothing stays of it where this raises. number: a new id of the catalogue.
    """
    import pyarrow as pa  # heavy: the daemon receives before it is needed
    import pyarrow.parquet as pq

    path = block_path(EVENTS_KIND, number)
    file = CheckedWriter(locate(directory, path))
    try:
        times = np.concatenate([batch.time_ms for batch in batches])
        table = pa.Table.from_batches([record_batch(batch) for batch in batches if len(batch)])
        table = table.take(arrow_column(np.argsort(times, kind="stable"), pa.int64()))
        with pq.ParquetWriter(
            file,
            table.schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            write_statistics=["time_ms", "level"],
            write_page_checksum=True,
            store_schema=False,
        ) as writer:
            writer.write_table(table, row_group_size=GROUP_ROWS)
        seal = file.finish()
    except BaseException:  # raised again; the file must not stay
        file.discard()
        raise
    return BlockRow(
        id=number,
        kind=EVENTS_KIND,
        level=0,
        path=path,
        rows=table.num_rows,
        min_ms=int(times.min()),
        max_ms=int(times.max()),
        series_min=0,
        series_max=0,
        first_lsn=first_lsn,
        last_lsn=last_lsn,
        created_ms=created_ms,
        bytes=seal.bytes,
        crc=seal.crc,
        page_crcs=seal.page_crcs,
    )


def read_events(directory: Path, block: BlockRow, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Events of one block in [start_ms, end_ms), as dictionaries like those of ``EventBatch.row``.

    Raises: FileGone, Damaged.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with CheckedReader(locate(directory, block.path), block.seal) as file:
        try:
            table = pq.ParquetFile(file, page_checksum_verification=True).read(use_threads=False)
            times = table.column("time_ms")
            table = table.filter(pc.and_(pc.greater_equal(times, start_ms), pc.less(times, end_ms)))
            return [{**row, "attributes": dict(row["attributes"])} for row in table.to_pylist()]
        except Exception as error:  # whatever Arrow makes of bytes it cannot read
            raise file.damage or Damaged(str(file.path), f"not an event block: {error}") from error


def record_batch(batch: EventBatch) -> "pa.RecordBatch":
    """Events as Arrow columns of the names and types a block has. No copy."""
    import pyarrow as pa

    names, values = _text(batch.attribute_names), _text(batch.attribute_values)
    columns: dict[str, Any] = {
        "time_ms": arrow_column(batch.time_ms, pa.int64()),
        "level": arrow_column(batch.level, pa.uint8()),
        **{name: _text(getattr(batch, name)) for name in TEXTS[:3]},
        "attributes": pa.MapArray.from_arrays(arrow_column(batch.attribute_offsets, pa.int32()), names, values),
        "packet_id": _text(batch.packet_id),
    }
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    return pa.record_batch(list(columns.values()), schema=pa.schema(fields))


def _text(column: TextColumn) -> "pa.Array":
    import pyarrow as pa

    return arrow_text(column.offsets, column.data, pa.string())
