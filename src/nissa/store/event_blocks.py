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
import numpy.typing as npt

from nissa.catalogue.catalogue import BlockRow
from nissa.files.arrow_columns import arrow_column, arrow_text
from nissa.files.checked_file import CheckedReader
from nissa.files.names import EVENTS_KIND, locate
from nissa.model.columns import EventBatch, TextColumn, TimeColumn
from nissa.model.units import MIB
from nissa.store.block_file import BlockFile
from nissa.store.block_footer import as_damaged

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 64 * 1024
GROUP_BYTES = 16 * MIB  # of text and numbers, where that is less: a row group is read as a whole
ZSTD_LEVEL = 3
TEXTS = ("source", "event_id", "description", "packet_id")


class EventWriter:
    """One event block being written, in order of time."""

    def __init__(self, directory: Path, number: int, *, level: int, created_ms: int) -> None:
        """The file is made at once.

        number: a new id of the catalogue. level: 0 for sealed heads, above for merged blocks.
        """
        self._file = BlockFile(directory, number, EVENTS_KIND, level=level, created_ms=created_ms)
        self._writer: Any = None

    @property
    def rows(self) -> int:
        """Number of rows written so far."""
        return self._file.rows

    def write(self, events: "pa.Table") -> None:
        """Add events in order of time that come after all so far; each call is at least one row group."""
        if not len(events):
            return
        if self._writer is None:
            self._writer = self._file.begin(
                events.schema,
                compression="zstd",
                compression_level=ZSTD_LEVEL,
                write_statistics=["time_ms", "level"],
                write_page_checksum=True,
            )
        times = events.column("time_ms")
        self._file.note(len(events), times[0].as_py(), times[-1].as_py())
        rows_max = max(1, min(GROUP_ROWS, len(events) * GROUP_BYTES // events.nbytes))
        self._writer.write_table(events, row_group_size=rows_max)

    def finish(self, first_lsn: int, last_lsn: int, sources: Sequence[int] = ()) -> BlockRow:
        """Write the footer, sync file and directory. The block exists once its row is in the catalogue.

        first_lsn, last_lsn: frames of its events. sources: ids of the blocks it was merged from. Raises: OSError.
        """
        return self._file.finish(first_lsn, last_lsn, sources)

    def discard(self) -> None:
        """Give up: nothing of the file stays."""
        self._file.discard()


def sorted_table(batches: Sequence[EventBatch]) -> "pa.Table":
    """At least one event, in order of time, those of one millisecond in order of arrival."""
    import pyarrow as pa

    times = np.concatenate([batch.time_ms for batch in batches])
    table = pa.Table.from_batches([event_record_batch(batch) for batch in batches if len(batch)])
    return table.take(arrow_column(np.argsort(times, kind="stable"), pa.int64()))


def read_events(directory: Path, block: BlockRow, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Events of one block in [start_ms, end_ms), as dictionaries like those of ``EventBatch.row``.

    Raises: Damaged.
    """
    import pyarrow.parquet as pq

    with CheckedReader(locate(directory, block.path), block.seal) as file:
        try:
            table = pq.ParquetFile(file, page_checksum_verification=True).read(use_threads=False)
            rows = table.to_pylist()
        except Exception as error:  # any error of Arrow for bytes it cannot read
            raise as_damaged(file, error) from error
    return [{**row, "attributes": dict(row["attributes"])} for row in rows if start_ms <= row["time_ms"] < end_ms]


def within(times: TimeColumn, start_ms: int, end_ms: int) -> npt.NDArray[np.bool_]:
    """Mask of the times in [start_ms, end_ms); the end may be one more than an int64 holds."""
    return (times >= np.int64(start_ms)) & (times <= np.int64(end_ms - 1))


def event_record_batch(batch: EventBatch) -> "pa.RecordBatch":
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
