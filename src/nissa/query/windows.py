"""Windows as answers: JSON lines, one per series and stretch of time, and an Arrow table of the same columns.

    {"metric":{"__name__":"up"},"resolution":"5m","timestamps":[window starts],"count":[…],"sum":[…],"min":[…],
     "max":[…],"mean":[…],"stddev":[…],"first":[…],"last":[…],"increase":[…],"p50":[…],"p95":[…],"p99":[…]}

What a tier does not keep is not there. ``increase`` has the step from the window before, so that those of a counter add
up. NaN of a window without numbers is null; ``nans`` is there where some of the samples were NaN. Where an answer is
stitched, lines of the coarser windows come first, and samples are lines with ``values``.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.errors import BadQuery
from nissa.model.ladder import RAW, Aggregate, Tier, WindowBatch
from nissa.model.matcher import Selector
from nissa.query.backend import Backend
from nissa.query.export import ATTEMPTS_MAX, BATCH_ROWS_MAX, OnDamage
from nissa.query.export_form import ExportForm
from nissa.query.json_lines import CHUNK_BYTES_MIN, spelled, write_json_lines
from nissa.query.resolution import Piece, Wanted, plan_pieces
from nissa.query.tables import record_batch, table_schema
from nissa.rollup.figures import SILENT_WINDOWS_MAX, increase_of, mean_of, quantiles_in, stddev_of
from nissa.rollup.read import Question, read_windows
from nissa.rollup.windows import ceil_ms, floor_ms, take_windows
from nissa.series.select import SeriesView, no_check, select_any
from nissa.store.checked_file import FileGone
from nissa.store.read import Snapshot, stream_samples

if TYPE_CHECKING:
    import pyarrow as pa

LINE_WINDOWS_MAX = 5_000
TIME_MS_LIMIT = 2**62  # beyond any window; leaves room to count on
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE

Column = npt.NDArray[Any]


class Figures(msgspec.Struct, frozen=True):
    """Windows as they are told: series and start, and columns by name, in the order of an answer."""

    resolution: str
    series: SeriesColumn
    columns: dict[str, Column]


Part = Figures | SampleBatch


def stream_parts(
    backend: Backend,
    selectors: Iterable[Selector],
    interval_ms: tuple[int, int],
    wanted: Wanted,
    check: Callable[[], None] = no_check,
    on_damage: OnDamage | None = None,
) -> Iterator[Part]:
    """What was asked for, stretch by stretch, each sorted by series and time.

    A block that is gone before the first part means: take a new snapshot. Raises: BadQuery, Damaged.
    """
    series = select_any(backend.index, selectors, check)
    for attempt in range(1, ATTEMPTS_MAX + 1):
        begun = False
        try:
            snapshot = backend.snapshot()
            for piece in plan_pieces(snapshot, wanted, interval_ms):
                for part in _piece_parts(snapshot, series, piece, wanted, on_damage):
                    begun = True
                    check()
                    yield part
        except FileGone:
            if begun or attempt == ATTEMPTS_MAX:
                raise
        else:
            return


def export_windows(
    backend: Backend,
    selectors: Sequence[Selector],
    interval_ms: tuple[int, int],
    form: ExportForm,
    wanted: Wanted,
    check: Callable[[], None] = no_check,
    on_damage: OnDamage | None = None,
) -> Generator[bytes, None, None]:
    """The export in chunks. Raises: BadQuery for a form that has no windows."""
    check_form(form)
    return write_window_lines(backend.index, stream_parts(backend, selectors, interval_ms, wanted, check, on_damage))


def check_form(form: ExportForm) -> None:
    """Raise BadQuery where windows are not given in ``form``."""
    if form is not ExportForm.JSONL:
        raise BadQuery(f"invalid parameter 'format': windows are given as {ExportForm.JSONL.value}, not {form.value}")


def write_window_lines(index: SeriesView, parts: Iterable[Part]) -> Generator[bytes, None, None]:
    """Chunks of whole lines, about half a MiB each."""
    lines: list[bytes] = []
    size = 0
    for part in parts:
        made = write_json_lines(index, [part]) if isinstance(part, SampleBatch) else _lines_of(index, part)
        for line in made:
            lines.append(line)
            size += len(line)
            if size >= CHUNK_BYTES_MIN:
                yield b"".join(lines)
                lines.clear()
                size = 0
    if lines:
        yield b"".join(lines)


def window_table(index: SeriesView, parts: Iterable[Part], label_columns: Sequence[str] = ()) -> "pa.Table":
    """Columns name, labels, label_columns, timestamp, resolution, and those of the answer; null where a part lacks one.

    Of samples, ``last`` is the value.
    """
    import pyarrow as pa  # heavy: nobody who only receives needs it

    tables = []
    for part in parts:
        if isinstance(part, SampleBatch):
            part = Figures(RAW, part.series, {"timestamps": part.ts_ms, "last": part.value})
        starts = part.columns["timestamps"]
        samples = SampleBatch(part.series, starts, np.zeros(len(starts)))
        table = pa.Table.from_batches([record_batch(index, samples, label_columns)]).drop_columns(["value"])
        table = table.append_column("resolution", pa.array([part.resolution] * len(starts), pa.string()))
        for name, column in part.columns.items():
            if name != "timestamps":
                table = table.append_column(name, pa.array(column, from_pandas=False))
        tables.append(table)
    if not tables:
        return table_schema(label_columns).remove(2 + len(label_columns) + 1).empty_table()
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries()


def _piece_parts(
    snapshot: Snapshot, series: SeriesColumn, piece: Piece, wanted: Wanted, on_damage: OnDamage | None
) -> Iterator[Part]:
    if piece.place is None:
        yield from stream_samples(snapshot, series, piece.start_ms, piece.end_ms, BATCH_ROWS_MAX, on_damage)
        return
    tier = snapshot.tiers[piece.place].tier
    start_ms = floor_ms(max(piece.start_ms, -TIME_MS_LIMIT), tier.interval_ms)
    end_ms = ceil_ms(min(piece.end_ms, TIME_MS_LIMIT), tier.interval_ms)
    before_ms = start_ms - (SILENT_WINDOWS_MAX + 1) * tier.interval_ms  # for the step into the first window
    sketches = tier.has_sketch and bool(wanted.probabilities)
    for windows in read_windows(snapshot, piece.place, Question(series, before_ms, end_ms, sketches, on_damage)):
        figures = figures_of(windows, tier, wanted, start_ms)
        if len(figures.series):
            yield figures


def figures_of(windows: WindowBatch, tier: Tier, wanted: Wanted, start_ms: int) -> Figures:
    """What is told of windows from ``start_ms`` on; those before lend their last values only."""
    inside = np.flatnonzero(windows.start_ms >= start_ms)
    increase = increase_of(windows, tier.interval_ms)[inside]
    whole = len(inside) == len(windows)
    chosen = windows if whole else take_windows(windows, inside)
    columns: dict[str, Column] = {"timestamps": chosen.start_ms, "count": chosen.count}
    if chosen.nans.any():
        columns["nans"] = chosen.nans
    kept = {Aggregate(word) for word in tier.aggregates}
    if Aggregate.SUM in kept:
        columns["sum"] = chosen.sum
    for one in (Aggregate.MIN, Aggregate.MAX):
        if one in kept:
            columns[one.value] = getattr(chosen, one.value)
    if Aggregate.SUM in kept:
        columns["mean"] = mean_of(chosen)
    if Aggregate.STDDEV in kept:
        columns["stddev"] = stddev_of(chosen)
    for one in (Aggregate.FIRST, Aggregate.LAST):
        if one in kept:
            columns[one.value] = getattr(chosen, one.value)
    if Aggregate.INCREASE in kept:
        columns["increase"] = increase
    if chosen.sketch is not None and len(chosen):
        named = wanted.probabilities
        found = quantiles_in(chosen, list(named.values()))
        columns |= {name: np.ascontiguousarray(found[:, at]) for at, name in enumerate(named)}
    return Figures(tier.name, chosen.series, columns)


def _lines_of(index: SeriesView, figures: Figures) -> Iterator[bytes]:
    series = figures.series
    borders = (np.flatnonzero(np.diff(series)) + 1).tolist()
    plain = {
        name for name, column in figures.columns.items() if column.dtype != np.float64 or np.isfinite(column).all()
    }
    for start, end in zip([0, *borders], [*borders, len(series)], strict=True):
        metric = dict(index.labels(int(series[start])))
        for first in range(start, end, LINE_WINDOWS_MAX):
            part = slice(first, min(first + LINE_WINDOWS_MAX, end))
            line: dict[str, Any] = {"metric": metric, "resolution": figures.resolution}
            for name, column in figures.columns.items():
                values = column[part]
                line[name] = values if name in plain else spelled(values, np.isfinite(values))
            yield orjson.dumps(line, option=_OPTIONS)
