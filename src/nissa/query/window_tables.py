"""Windows as Arrow tables, and as the formats of an export.

    name labels timestamp resolution count nans sum min max mean stddev first last increase p50 p95 p99 exact

The columns are the same whatever the tiers of an answer keep, so that a stream can begin before its end is known: what
is not kept is null. Of samples, which stand in a stitched answer, ``last`` is the value and ``resolution`` is ``raw``.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nissa.model.allowance import Check, no_check
from nissa.model.columns import SampleBatch
from nissa.model.ladder import RAW
from nissa.model.matcher import Selector
from nissa.query.backend import Backend
from nissa.query.export import OnDamage
from nissa.query.export_form import ExportForm
from nissa.query.resolution import WindowSelection
from nissa.query.tables import arrow_chunks, csv_chunks, parquet_chunks, sample_record_batch, table_schema
from nissa.query.windows import EXACT, DerivedColumns, Part, stream_window_parts, write_window_lines
from nissa.series.select import SeriesView

if TYPE_CHECKING:
    import pyarrow as pa

COUNTS = ("count", "nans")
NUMBERS = ("sum", "min", "max", "mean", "stddev", "first", "last", "increase")
REPEATING = ("name", "labels", "resolution")


def export_windows(
    backend: Backend,
    selectors: Sequence[Selector],
    interval_ms: tuple[int, int],
    form: ExportForm,
    wanted: WindowSelection,
    check: Check = no_check,
    on_damage: OnDamage | None = None,
) -> Generator[bytes, None, None]:
    """Write the windows of the selected series in one format, in chunks.

    selectors: union of their series. interval_ms: [start, end), Unix milliseconds. form: the format. wanted:
    resolution, step and quantiles. check, on_damage: as for ``read_batches``. Raises: BadQuery, Damaged.
    """
    index = backend.index
    parts = stream_window_parts(backend, selectors, interval_ms, wanted, check, on_damage, index)
    return window_chunks(form, index, parts, wanted)


def window_chunks(
    form: ExportForm, index: SeriesView, parts: Iterable[Part], wanted: WindowSelection
) -> Generator[bytes, None, None]:
    """Write windows in one format, in chunks, each computed when it is requested.

    form: the format. index: names the series. parts: windows and samples in the order of the answer. wanted: as it was
    requested.
    """
    if form is ExportForm.JSONL:
        return write_window_lines(index, parts)
    schema, batches = window_schema(wanted), window_batches(index, parts, wanted)
    if form is ExportForm.CSV:
        return csv_chunks(schema, batches)
    return arrow_chunks(schema, batches) if form is ExportForm.ARROW else parquet_chunks(schema, batches, REPEATING)


def window_table(
    index: SeriesView, parts: Iterable[Part], wanted: WindowSelection, label_columns: Sequence[str] = ()
) -> "pa.Table":
    """Return windows as one table.

    index: names the series. parts: windows and samples in the order of the answer. wanted: as it was requested.
    label_columns: labels that get a column of their own.
    """
    import pyarrow as pa  # heavy, and not needed for receiving

    schema = window_schema(wanted, label_columns)
    return pa.Table.from_batches(window_batches(index, parts, wanted, label_columns), schema).unify_dictionaries()


def window_schema(wanted: WindowSelection, label_columns: Sequence[str] = ()) -> "pa.Schema":
    """The columns of a table of windows."""
    import pyarrow as pa

    samples = table_schema(label_columns)
    fields = [samples.field(at) for at in range(len(samples.names) - 1)]  # all but the value
    fields.append(pa.field("resolution", pa.dictionary(pa.int32(), pa.string())))
    fields += [pa.field(name, pa.uint32()) for name in COUNTS]
    fields += [pa.field(name, pa.float64()) for name in (*NUMBERS, *wanted.probabilities)]
    if wanted.probabilities:
        fields.append(pa.field(EXACT, pa.bool_()))
    return pa.schema(fields, metadata={"nissa.form": "windows"})


def window_batches(
    index: SeriesView, parts: Iterable[Part], wanted: WindowSelection, label_columns: Sequence[str] = ()
) -> Iterator["pa.RecordBatch"]:
    """Convert windows to Arrow batches of one schema, one per part.

    index: names the series. parts: windows and samples in the order of the answer. wanted: as it was requested.
    label_columns: labels that get a column of their own.
    """
    schema = window_schema(wanted, label_columns)
    for part in parts:
        yield _batch(index, part, schema, label_columns)


def _batch(index: SeriesView, part: Part, schema: "pa.Schema", label_columns: Sequence[str]) -> "pa.RecordBatch":
    import pyarrow as pa

    if isinstance(part, SampleBatch):
        part = DerivedColumns(RAW, part.series, {"timestamps": part.ts_ms, "last": part.value})
    starts = part.columns["timestamps"]
    count = len(starts)
    there: dict[str, Any] = dict(part.columns)
    if "count" in there:
        there.setdefault("nans", np.zeros(count, np.uint32))
    samples: Any = sample_record_batch(index, SampleBatch(part.series, starts, np.zeros(count)), label_columns)
    columns = list(samples.columns[:-1])
    columns.append(pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([part.resolution], pa.string())))
    for field in list(schema)[len(columns) :]:
        column = there.get(field.name)
        columns.append(
            pa.nulls(count, field.type) if column is None else pa.array(column, field.type, from_pandas=False)
        )
    return pa.record_batch(columns, schema=schema)
