"""The Apache Iceberg tables of the sink ``iceberg``, and what goes into them as Arrow.

    series    instance series name labels                                        labels: map, __name__ among them
    samples   instance block series name timestamp value
    windows   instance block tier series name start count nans sum min max first last increase
    events    instance block timestamp level source event_id description attributes packet_id

``instance`` is the data directory that the rows are of, so that many Nissas share the tables; ``block`` is the file
that had them. Ids of series are those of one instance. Where two rows of samples or windows have the same series and
time, the rules of ``docs/format/blocks.md`` say which one counts.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nissa.catalogue.catalogue import BlockRow, SeriesSegment
from nissa.files.checked_file import CheckedReader
from nissa.files.names import EVENTS_KIND, RAW_KIND, is_tier_kind, tier_of

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLES: Final = "samples"
WINDOWS: Final = "windows"
EVENTS: Final = "events"
SERIES_TABLE: Final = "series"
LEVELS: Final = ("unspecified", "info", "warning", "error", "critical")
ROWS: Final = 128 * 1024  # of a batch
_WINDOW_COLUMNS: Final = ("count", "nans", "sum", "min", "max", "first", "last", "increase")


def table_of(kind: str) -> str:
    """The table that blocks of a kind go into; empty for those that go into none."""
    return {RAW_KIND: SAMPLES, EVENTS_KIND: EVENTS}.get(kind) or (WINDOWS if is_tier_kind(kind) else "")


def iceberg_schema(table: str) -> "pa.Schema":
    """Columns of a table."""
    import pyarrow as pa

    time, texts = pa.timestamp("us", tz="UTC"), pa.map_(pa.string(), pa.string())
    own = [("instance", pa.string()), ("block", pa.int64())]
    named = [("series", pa.int64()), ("name", pa.string())]
    numbers = [(name, pa.int64() if name in ("count", "nans") else pa.float64()) for name in _WINDOW_COLUMNS]
    text = [(name, pa.string()) for name in ("level", "source", "event_id", "description")]
    columns: dict[str, list[tuple[str, Any]]] = {
        SERIES_TABLE: [("instance", pa.string()), *named, ("labels", texts)],
        SAMPLES: [*own, *named, ("timestamp", time), ("value", pa.float64())],
        WINDOWS: [*own, ("tier", pa.string()), *named, ("start", time), *numbers],
        EVENTS: [*own, ("timestamp", time), *text, ("attributes", texts), ("packet_id", pa.string())],
    }
    return pa.schema(columns[table])


class SeriesNames:
    """Names of series by id, out of the segments of a directory."""

    def __init__(self, directory: Path, segments: list[SeriesSegment]) -> None:
        """Raises: Damaged, FileGone."""
        import pyarrow as pa

        parts = [_whole(directory, one, ["series", "name"]) for one in segments]
        found = pa.concat_tables(parts) if parts else None
        self._ids = np.empty(0, np.int64) if found is None else found["series"].to_numpy().astype(np.int64)
        self._names = pa.array([], pa.string()) if found is None else found["name"].combine_chunks()

    def of(self, series: Any) -> "pa.Array":
        """Names of these ids; null where there is none."""
        import pyarrow as pa

        if not len(self._ids):
            return pa.nulls(len(series), pa.string())
        places = np.minimum(np.searchsorted(self._ids, series), len(self._ids) - 1)
        return self._names.take(pa.array(places, mask=self._ids[places] != series)).cast(pa.string())


def new_series_rows(directory: Path, segments: list[SeriesSegment], instance: str, after: int) -> "pa.Table | None":
    """Series with ids above ``after``; None where there are none. Raises: Damaged, FileGone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [_whole(directory, one, ["series", "name", "labels"]) for one in segments if one.last_series > after]
    if not parts:
        return None
    found = pa.concat_tables(parts)
    found = found.filter(pc.greater(found["series"].cast(pa.int64()), after))
    columns = [pa.repeat(instance, len(found)), *found.columns]
    return pa.table(dict(zip(iceberg_schema(SERIES_TABLE).names, columns, strict=True))).cast(
        iceberg_schema(SERIES_TABLE)
    )


def block_rows(directory: Path, block: BlockRow, instance: str, names: SeriesNames) -> Iterator["pa.RecordBatch"]:
    """The rows of a block for its table, in bounded memory. Raises: Damaged, FileGone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    make = {SAMPLES: _samples, WINDOWS: _windows, EVENTS: _events}[table_of(block.kind)]
    schema = iceberg_schema(table_of(block.kind))
    with CheckedReader(directory / block.path, block.seal) as reader:
        try:
            for batch in pq.ParquetFile(reader).iter_batches(ROWS):
                found = {"instance": pa.repeat(instance, len(batch)), "block": pa.repeat(block.id, len(batch))}
                found |= make(batch, block, names)
                yield pa.RecordBatch.from_pydict({name: found[name] for name in schema.names}, schema)
        except (OSError, pa.ArrowException):
            if reader.damage is not None:
                raise reader.damage from None
            raise


def _samples(batch: "pa.RecordBatch", _block: BlockRow, names: SeriesNames) -> dict[str, Any]:
    return {**_series(batch, names), "timestamp": _times(batch["ts_ms"]), "value": batch["value"]}


def _windows(batch: "pa.RecordBatch", block: BlockRow, names: SeriesNames) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    there = {name: batch[name] for name in batch.schema.names}
    found = {name: there.get(name, pa.nulls(len(batch), pa.float64())) for name in _WINDOW_COLUMNS}
    if "first" in there and "last" in there:  # an extremum that is the first or last value is null
        pair = there["first"], there["last"]
        found["min"] = pc.coalesce(found["min"], pc.min_element_wise(*pair))
        found["max"] = pc.coalesce(found["max"], pc.max_element_wise(*pair))
        if "resets" in there:
            found["increase"] = pc.add(pc.subtract(pair[1], pair[0]), there["resets"])
    found["count"], found["nans"] = (found[name].cast(pa.int64()) for name in ("count", "nans"))
    own = {**_series(batch, names), "tier": pa.repeat(tier_of(block.kind), len(batch))}
    return {**own, "start": _times(batch["start_ms"]), **found}


def _events(batch: "pa.RecordBatch", _block: BlockRow, _names: SeriesNames) -> dict[str, Any]:
    import pyarrow as pa

    texts = {name: batch[name] for name in ("source", "event_id", "description", "attributes", "packet_id")}
    level = pa.array(LEVELS).take(batch["level"].cast(pa.int64()))
    return {**texts, "timestamp": _times(batch["time_ms"]), "level": level}


def _series(batch: "pa.RecordBatch", names: SeriesNames) -> dict[str, Any]:
    ids = batch["series"].to_numpy().astype(np.int64)
    return {"series": ids, "name": names.of(ids)}


def _times(column: Any) -> "pa.Array":
    import pyarrow as pa

    return column.cast(pa.timestamp("ms", tz="UTC")).cast(pa.timestamp("us", tz="UTC"))


def _whole(directory: Path, segment: SeriesSegment, columns: list[str]) -> "pa.Table":
    import pyarrow.parquet as pq

    with CheckedReader(directory / segment.path, segment.seal) as reader:
        return pq.read_table(reader, columns=columns)
