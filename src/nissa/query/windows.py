"""Windows as answers: derived columns, and JSON lines, one per series and tier.

    {"metric":{"__name__":"up"},"resolution":"5m","timestamps":[window starts],"count":[…],"sum":[…],"min":[…],
     "max":[…],"mean":[…],"stddev":[…],"first":[…],"last":[…],"increase":[…],"p50":[…],"p95":[…],"p99":[…],
     "exact":[…]}

Aggregates that a tier does not store are missing. ``increase`` includes the change from the window before, so that the
increases of a counter add up. Quantiles are computed from the samples of a window while these are all there
(``rollup/exact.py``), else from its sketch; ``exact`` tells which. NaN of a window without numbers is null; ``nans`` is
there where some of the samples were NaN. Where an answer is stitched, lines of the coarser windows come first, and
samples are lines with ``values``. Tables of the same columns are made in ``window_tables.py``.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from nissa.model.allowance import Check, no_check
from nissa.model.columns import SampleBatch, SeriesColumn
from nissa.model.ladder import Aggregate, Policy, Tier, WindowBatch
from nissa.model.matcher import Selector
from nissa.query.backend import Backend, IndexView
from nissa.query.export import BATCH_ROWS_MAX, OnDamage
from nissa.query.json_lines import in_chunks, spelled, write_json_lines
from nissa.query.resolution import PlannedRead, WindowSelection, plan_reads
from nissa.rollup.derived_columns import increase_of, mean_of, quantiles_in, stddev_of
from nissa.rollup.exact import ExactQuantiles, exact_quantiles
from nissa.rollup.read import WindowRequest, read_windows
from nissa.rollup.windows import ceil_ms, floor_ms, take_windows
from nissa.series.select import SeriesView, select_any
from nissa.store.read import Snapshot, stream_samples

LINE_WINDOWS_MAX = 5_000
EXACT = "exact"
EXACT_SAMPLES_MAX = 10_000_000  # read for one answer's exact quantiles: a few seconds; what comes behind is estimated
TIME_MS_LIMIT = 2**62  # beyond any window; leaves room to count on
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE

Column = npt.NDArray[Any]


class DerivedColumns(msgspec.Struct, frozen=True):
    """Windows as answers: series and start, and columns by name, in the order of an answer."""

    resolution: str
    series: SeriesColumn
    columns: dict[str, Column]


Part = DerivedColumns | SampleBatch


def stream_window_parts(
    backend: Backend,
    selectors: Iterable[Selector],
    interval_ms: tuple[int, int],
    wanted: WindowSelection,
    check: Check = no_check,
    on_damage: OnDamage | None = None,
    index: IndexView | None = None,
) -> Iterator[Part]:
    """Read the windows of the selected series, one tier and time range after another, each sorted by series and time.

    selectors: union of their series. interval_ms: [start, end), Unix milliseconds. wanted: resolution, step and
    quantiles. check, on_damage, index: as for ``read_batches``. Raises: BadQuery, Damaged.
    """
    series = select_any(backend.index if index is None else index, selectors, check)
    with msgspec.structs.replace(backend.snapshot(), check=check) as snapshot:
        budget = _Budget()
        for policy, own in _groups(snapshot, series):
            for planned in plan_reads(snapshot, wanted, interval_ms, policy):
                for part in _parts_of(snapshot, own, planned, wanted, budget, on_damage):
                    check()
                    yield part


def write_window_lines(index: SeriesView, parts: Iterable[Part]) -> Generator[bytes, None, None]:
    """Chunks of whole lines, about half a MiB each."""
    return in_chunks(
        line
        for part in parts
        for line in (write_json_lines(index, [part]) if isinstance(part, SampleBatch) else _lines_of(index, part))
    )


def _groups(snapshot: Snapshot, series: SeriesColumn) -> Sequence[tuple[Policy | None, SeriesColumn]]:
    """Series grouped by policy: those of one group have the same tiers."""
    return [(None, series)] if snapshot.keeping is None else snapshot.keeping.groups(series)


class _Budget:
    """Number of samples that an answer may still read for exact quantiles."""

    def __init__(self) -> None:
        self.left = EXACT_SAMPLES_MAX


def _parts_of(
    snapshot: Snapshot,
    series: SeriesColumn,
    planned: PlannedRead,
    wanted: WindowSelection,
    budget: _Budget,
    on_damage: OnDamage | None,
) -> Iterator[Part]:
    if planned.place is None:
        yield from stream_samples(snapshot, series, planned.start_ms, planned.end_ms, BATCH_ROWS_MAX, on_damage)
        return
    tier = snapshot.tiers[planned.place].tier
    start_ms = floor_ms(max(planned.start_ms, -TIME_MS_LIMIT), tier.interval_ms)
    end_ms = ceil_ms(min(planned.end_ms, TIME_MS_LIMIT), tier.interval_ms)
    idle_ttl_ms = snapshot.idle_ttl_ms
    before_ms = start_ms
    if Aggregate.INCREASE.value in tier.aggregates:  # for the step into the first window
        before_ms = start_ms - ceil_ms(idle_ttl_ms, tier.interval_ms)
    sketches = tier.has_sketch and bool(wanted.probabilities)
    for windows in read_windows(snapshot, planned.place, WindowRequest(series, before_ms, end_ms, sketches, on_damage)):
        derived = derived_columns_of(windows, tier, wanted, start_ms, idle_ttl_ms)
        if not len(derived.series):
            continue
        if sketches:
            inside = take_windows(windows, np.flatnonzero(windows.start_ms >= start_ms))
            asked = list(wanted.probabilities.values())
            found = exact_quantiles(snapshot, inside, tier.interval_ms, asked, budget.left)
            budget.left -= found.spent
            derived = with_exact(derived, wanted, found)
        yield derived


def with_exact(derived: DerivedColumns, wanted: WindowSelection, found: ExactQuantiles) -> DerivedColumns:
    """Replace estimated quantiles by exact ones where they were found, and set the column that says which are exact.

    derived: columns of windows. wanted: has the quantiles. found: exact quantiles by row.
    """
    columns = dict(derived.columns)
    for at, name in enumerate(wanted.probabilities):
        columns[name] = np.where(found.exact, found.values[:, at], columns[name])
    return msgspec.structs.replace(derived, columns=columns | {EXACT: found.exact})


def derived_columns_of(
    windows: WindowBatch, tier: Tier, wanted: WindowSelection, start_ms: int, idle_ttl_ms: int
) -> DerivedColumns:
    """Return the columns of an answer for windows.

    windows: sorted by series and start. tier: of the windows. wanted: has the quantiles. start_ms: first start in the
    answer, Unix milliseconds; earlier windows only give their last values, for ``increase``. idle_ttl_ms: gap over
    which an increase does not extend.
    """
    inside = np.flatnonzero(windows.start_ms >= start_ms)
    increase = increase_of(windows, tier.interval_ms, idle_ttl_ms)[inside]
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
    return DerivedColumns(tier.name, chosen.series, columns)


def _lines_of(index: SeriesView, derived: DerivedColumns) -> Iterator[bytes]:
    series = derived.series
    borders = (np.flatnonzero(np.diff(series)) + 1).tolist()
    plain = {
        name for name, column in derived.columns.items() if column.dtype != np.float64 or np.isfinite(column).all()
    }
    for start, end in zip([0, *borders], [*borders, len(series)], strict=True):
        metric = dict(index.labels(int(series[start])))
        for first in range(start, end, LINE_WINDOWS_MAX):
            part = slice(first, min(first + LINE_WINDOWS_MAX, end))
            line: dict[str, Any] = {"metric": metric, "resolution": derived.resolution}
            for name, column in derived.columns.items():
                values = column[part]
                line[name] = values if name in plain else spelled(values, np.isfinite(values))
            yield orjson.dumps(line, option=_OPTIONS)
