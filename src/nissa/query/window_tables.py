"""Windows as tables, and the forms of an export that windows are given in.

    name labels timestamp resolution count nans sum min max mean stddev first last increase p50 p95 p99 exact

The columns are the same whatever the tiers of an answer keep, so that a stream can begin before its end is known: what
is not kept is null. Of samples, which stand in a stitched answer, ``last`` is the value and ``resolution`` is ``raw``.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nissa.model.columns import SampleBatch
from nissa.model.ladder import RAW
from nissa.model.matcher import Selector
from nissa.query.backend import Backend
from nissa.query.export import OnDamage
from nissa.query.export_form import ExportForm
from nissa.query.resolution import Wanted
from nissa.query.tables import arrow_chunks, csv_chunks, parquet_chunks, record_batch, table_schema
from nissa.query.windows import EXACT, Figures, Part, stream_parts, write_window_lines
from nissa.series.select import SeriesView, no_check

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
    wanted: Wanted,
    check: Callable[[], None] = no_check,
    on_damage: OnDamage | None = None,
) -> Generator[bytes, None, None]:
    """The export in chunks."""
    parts = stream_parts(backend, selectors, interval_ms, wanted, check, on_damage)
    return write_windows(form, backend.index, parts, wanted)


def write_windows(
    form: ExportForm, index: SeriesView, parts: Iterable[Part], wanted: Wanted
) -> Generator[bytes, None, None]:
    """Windows in ``form``, in chunks; parts are read as the chunks are asked for."""
    if form is ExportForm.JSONL:
        return write_window_lines(index, parts)
    schema, batches = window_schema(wanted), window_batches(index, parts, wanted)
    if form is ExportForm.CSV:
        return csv_chunks(schema, batches)
    return arrow_chunks(schema, batches) if form is ExportForm.ARROW else parquet_chunks(schema, batches, REPEATING)


def window_table(
    index: SeriesView, parts: Iterable[Part], wanted: Wanted, label_columns: Sequence[str] = ()
) -> "pa.Table":
    """All of them at once."""
    import pyarrow as pa  # heavy: nobody who only receives needs it

    schema = window_schema(wanted, label_columns)
    return pa.Table.from_batches(window_batches(index, parts, wanted, label_columns), schema).unify_dictionaries()


def window_schema(wanted: Wanted, label_columns: Sequence[str] = ()) -> "pa.Schema":
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
    index: SeriesView, parts: Iterable[Part], wanted: Wanted, label_columns: Sequence[str] = ()
) -> Iterator["pa.RecordBatch"]:
    """One batch per part, each of the same schema."""
    schema = window_schema(wanted, label_columns)
    for part in parts:
        yield _batch(index, part, schema, label_columns)


def _batch(index: SeriesView, part: Part, schema: "pa.Schema", label_columns: Sequence[str]) -> "pa.RecordBatch":
    import pyarrow as pa

    if isinstance(part, SampleBatch):
        part = Figures(RAW, part.series, {"timestamps": part.ts_ms, "last": part.value})
    starts = part.columns["timestamps"]
    count = len(starts)
    there: dict[str, Any] = dict(part.columns)
    if "count" in there:
        there.setdefault("nans", np.zeros(count, np.uint32))
    samples: Any = record_batch(index, SampleBatch(part.series, starts, np.zeros(count)), label_columns)
    columns = list(samples.columns[:-1])
    columns.append(pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([part.resolution], pa.string())))
    for field in list(schema)[len(columns) :]:
        column = there.get(field.name)
        columns.append(
            pa.nulls(count, field.type) if column is None else pa.array(column, field.type, from_pandas=False)
        )
    return pa.record_batch(columns, schema=schema)
