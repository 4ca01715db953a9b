"""Windows as answers: figures of them by column, and JSON lines, one per series and stretch of time.

    {"metric":{"__name__":"up"},"resolution":"5m","timestamps":[window starts],"count":[…],"sum":[…],"min":[…],
     "max":[…],"mean":[…],"stddev":[…],"first":[…],"last":[…],"increase":[…],"p50":[…],"p95":[…],"p99":[…],
     "exact":[…]}

What a tier does not keep is not there. ``increase`` has the step from the window before, so that those of a counter add
up. Quantiles are computed from the samples of a window while these are all there (``rollup/exact.py``), else from its
sketch; ``exact`` tells which. NaN of a window without numbers is null; ``nans`` is there where some of the samples were
NaN. Where an answer is stitched, lines of the coarser windows come first, and samples are lines with ``values``.
Tables of the same columns are made in ``window_tables.py``.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.ladder import Aggregate, Policy, Tier, WindowBatch
from nissa.model.matcher import Selector
from nissa.query.backend import Backend
from nissa.query.export import ATTEMPTS_MAX, BATCH_ROWS_MAX, OnDamage
from nissa.query.json_lines import in_chunks, spelled, write_json_lines
from nissa.query.resolution import Piece, Wanted, plan_pieces
from nissa.rollup.exact import Exact, exact_quantiles
from nissa.rollup.figures import SILENT_WINDOWS_MAX, increase_of, mean_of, quantiles_in, stddev_of
from nissa.rollup.read import Question, read_windows
from nissa.rollup.windows import ceil_ms, floor_ms, take_windows
from nissa.series.select import SeriesView, no_check, select_any
from nissa.store.checked_file import FileGone
from nissa.store.read import Snapshot, stream_samples
from nissa.store.remembered import Remembered

LINE_WINDOWS_MAX = 5_000
EXACT = "exact"
EXACT_SAMPLES_MAX = 10_000_000  # read for one answer's exact quantiles: a few seconds; what comes behind is estimated
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
            snapshot = msgspec.structs.replace(backend.snapshot(), remembered=Remembered())
            budget = _Budget()
            for policy, own in _groups(snapshot, series):
                for piece in plan_pieces(snapshot, wanted, interval_ms, policy):
                    for part in _piece_parts(snapshot, own, piece, wanted, budget, on_damage):
                        begun = True
                        check()
                        yield part
        except FileGone:
            if begun or attempt == ATTEMPTS_MAX:
                raise
        else:
            return


def write_window_lines(index: SeriesView, parts: Iterable[Part]) -> Generator[bytes, None, None]:
    """Chunks of whole lines, about half a MiB each."""
    return in_chunks(
        line
        for part in parts
        for line in (write_json_lines(index, [part]) if isinstance(part, SampleBatch) else _lines_of(index, part))
    )


def _groups(snapshot: Snapshot, series: SeriesColumn) -> Sequence[tuple[Policy | None, SeriesColumn]]:
    """Series that are kept alike are stitched alike."""
    return [(None, series)] if snapshot.keeping is None else snapshot.keeping.groups(series)


class _Budget:
    """How many samples an answer may still read for exact quantiles."""

    def __init__(self) -> None:
        self.left = EXACT_SAMPLES_MAX


def _piece_parts(
    snapshot: Snapshot,
    series: SeriesColumn,
    piece: Piece,
    wanted: Wanted,
    budget: _Budget,
    on_damage: OnDamage | None,
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
        if not len(figures.series):
            continue
        if sketches:
            inside = take_windows(windows, np.flatnonzero(windows.start_ms >= start_ms))
            asked = list(wanted.probabilities.values())
            found = exact_quantiles(snapshot, inside, tier.interval_ms, asked, budget.left)
            budget.left -= found.spent
            figures = with_exact(figures, wanted, found)
        yield figures


def with_exact(figures: Figures, wanted: Wanted, found: Exact) -> Figures:
    """Exact quantiles in the place of estimated ones, and which they are."""
    columns = dict(figures.columns)
    for at, name in enumerate(wanted.probabilities):
        columns[name] = np.where(found.exact, found.values[:, at], columns[name])
    return msgspec.structs.replace(figures, columns=columns | {EXACT: found.exact})


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
