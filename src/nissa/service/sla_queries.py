"""Stored samples by hours, for snapshots of service level agreements. Offers ``tiers.sla_engine.HourQueries``.

Percentiles are those of merged sketches: the sketches of all series and hours of a day are added up before a percentile
is read from the sum, so it is within the bound of the sketch whatever the series are.
"""

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np

from nissa._fast.sketch import Sketch
from nissa.api.promql_answers import query_limits
from nissa.config.tree import Config
from nissa.ingest.engine import Engine
from nissa.model.allowance import Check, no_check
from nissa.model.errors import BadQuery
from nissa.model.ladder import WindowBatch
from nissa.model.selector import read_selectors
from nissa.model.units import HOUR_MS
from nissa.promql.evaluate import evaluate_range
from nissa.promql.limits import LIMITS, Limits
from nissa.promql.source import SampleSource
from nissa.promql.stored import StoredSource
from nissa.query.limits import Allowance, MemoryBudget
from nissa.rollup.read import WindowRequest, read_windows
from nissa.rollup.windows import take_windows
from nissa.series.select import select_any
from nissa.tiers.sla_engine import Hourly, SketchedHours

P99: Final = np.array([0.99])


class StoredHours:
    """Hours of what an engine stores. One thread at a time."""

    def __init__(self, engine: Engine, config: Config, now_s: Callable[[], float]) -> None:
        """now_s: a monotonic clock, for timeouts."""
        self._engine, self._config, self._now_s = engine, config, now_s
        self._memory = MemoryBudget(config.api.queries_memory_bytes_max)
        self._limits = query_limits(config.api, "api.query_samples_max")

    def values(self, expression: str, start_ms: int, end_ms: int, step_ms: int) -> Hourly:
        """As ``HourQueries`` says."""
        with self._allowance() as allowance:
            check = allowance.check
            with msgspec.structs.replace(self._engine.snapshot(), check=check) as snapshot:
                source = StoredSource(self._engine.index, snapshot, check=check)
                return range_sums(source, expression, (start_ms, end_ms, step_ms), check, self._limits)

    def sketches(self, selector: str, start_ms: int, end_ms: int) -> SketchedHours:
        """As ``HourQueries`` says. Raises: BadQuery where no tier of an hour or less keeps sketches."""
        with self._allowance() as allowance:
            check = allowance.check
            with msgspec.structs.replace(self._engine.snapshot(), check=check) as snapshot:
                rows = [
                    place
                    for place, row in enumerate(snapshot.tiers)
                    if row.tier.has_sketch and HOUR_MS % row.tier.interval_ms == 0
                ]
                if not rows:
                    raise BadQuery("no tier of at most an hour keeps quantiles (ladder.tiers)")
                series = select_any(self._engine.index, read_selectors([selector]), check)
                asked = WindowRequest(series, start_ms, end_ms)
                merged = MergedSketches(start_ms, end_ms)
                for windows in read_windows(snapshot, rows[-1], asked):
                    check()
                    merged.add(windows)
                return merged.hours()

    def _allowance(self) -> Allowance:
        limits = self._config.api.query_memory_bytes_max, self._memory
        return Allowance(self._now_s, self._config.sla.query_timeout_ms, *limits)


class MergedSketches:
    """Sketches of windows, added up by hour and by day of [start_ms, end_ms)."""

    def __init__(self, start_ms: int, end_ms: int) -> None:
        self._start_ms = start_ms
        hours = (end_ms - start_ms) // HOUR_MS
        self._hours: list[Sketch | None] = [None] * hours
        self._days: list[Sketch | None] = [None] * (hours // 24)

    def add(self, windows: WindowBatch) -> None:
        """Add windows, with their sketches."""
        hours = (windows.start_ms - self._start_ms) // HOUR_MS
        for hour in np.unique(hours[windows.count > 0]).tolist():
            own = take_windows(windows, np.flatnonzero(hours == hour))
            if own.sketch is None:
                continue
            for place, sums in ((hour, self._hours), (hour // 24, self._days)):
                sketch = sums[place] = sums[place] or Sketch()
                sketch.merge(own.sketch.offsets, own.sketch.data)

    def hours(self) -> SketchedHours:
        """Counts and percentiles."""
        counts: Hourly = [None if one is None else float(one.count) for one in self._hours]
        return SketchedHours(counts, [_p99(one) for one in self._hours], [_p99(one) for one in self._days])


def range_sums(
    source: SampleSource,
    expression: str,
    steps_ms: tuple[int, int, int],
    check: Check = no_check,
    limits: Limits = LIMITS,
) -> Hourly:
    """The sum of an expression's series at the end of each step; None where there is none. steps_ms: from, to, step."""
    start_ms, end_ms, step_ms = steps_ms
    first_ms = start_ms + step_ms
    answer = evaluate_range(source, expression, first_ms, end_ms, step_ms, check=check, limits=limits)
    vector = answer.vector
    steps = (end_ms - start_ms) // step_ms
    if vector is None or not len(vector):
        return [None] * steps
    there = (vector.present != 0) & np.isfinite(vector.values)
    sums = np.where(there, vector.values, 0.0).sum(axis=0).tolist()
    return [value if known else None for value, known in zip(sums, there.any(axis=0).tolist(), strict=True)]


def _p99(sketch: Sketch | None) -> float | None:
    if sketch is None or not sketch.count:
        return None
    return float(sketch.quantiles(P99)[0])
