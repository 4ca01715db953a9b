"""Chooses the rung of the ladder that answers each step of a selector.

    rate(x[5m]), step 5m      ·    ·    ·    ·    ·    ·    ·    ·    ·    ·    ·    ·
    retained   raw                                               ├──────────────────►
               5m                       ├───────────────────────────────────────────►
               1h          ├────────────────────────────────────────────────────────►
    answered by                1h   1h   5m   5m   5m   5m   5m  raw  raw  raw  raw

``auto`` takes samples for steps whose whole range is retained; for older steps it takes the coarsest tier whose
windows fit the step and every range of the query, and coarser tiers where that one has expired. Each step is answered
by one rung only, so nothing is counted twice or left out where rungs meet. A query at one time takes the finest tier.

A tier answers with whole windows: a step is moved back to the last window boundary, and a range is widened to whole
windows. ``tiers.py`` has the functions over windows.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from nissa.model.errors import BadQuery
from nissa.model.ladder import AUTO, RAW, interval_name
from nissa.promql.expression import Expression, Range, Subquery, parts_of
from nissa.promql.limits import ExecutionFailed
from nissa.promql.notes import Notes
from nissa.promql.source import Kept, RowColumn, Rung, SampleSource, Selected
from nissa.promql.subquery import DEFAULT_STEP_MS
from nissa.promql.tiers import NEEDS, SHARED, borders, widened
from nissa.promql.values import TimeColumn


class Stretch(msgspec.Struct, frozen=True):
    """Steps [first, last) of some rows, answered by one tier."""

    rows: RowColumn
    rung: Rung
    first: int
    last: int


class Look(msgspec.Struct, frozen=True):
    """Time ranges that a selector reads: (at - reach_ms, at] for each of the steps at_ms, ascending.

    function: the kernel; empty where samples themselves are wanted. at: where the selector stands. is_range: written
    as one, rather than the lookback of an instant selector.
    """

    at_ms: TimeColumn
    reach_ms: int
    function: str
    at: int
    is_range: bool = True


class Plan(msgspec.Struct, frozen=True):
    """samples_from: the first step that samples answer. stretches: what tiers answer of those before."""

    samples_from: int = 0
    stretches: tuple[Stretch, ...] = ()


class Demand(msgspec.Struct, frozen=True):
    """Requirements on a tier: distances of steps, where there are several, and ranges, of the whole query."""

    steps_ms: frozenset[int] = frozenset()
    ranges_ms: frozenset[int] = frozenset()

    def served_by(self, interval_ms: int, *, whole: bool) -> bool:
        """True if no step and no range is shorter than a window; whole: and each is made of whole windows."""
        lengths = self.steps_ms | self.ranges_ms
        return all(length >= interval_ms and not (whole and length % interval_ms) for length in lengths)


def demand_of(expression: Expression, step_ms: int) -> Demand:
    """The steps and ranges of an expression; step_ms: 0 at one time."""
    steps, ranges, waiting = {step_ms} - {0}, set(), [expression]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Subquery):
            steps.add(part.step_ms or DEFAULT_STEP_MS)
        elif isinstance(part, Range):
            ranges.add(part.range_ms)
        waiting += parts_of(part)
    return Demand(frozenset(steps), frozenset(ranges))


class Rungs:
    """The choice for one query, and what was chosen so far."""

    def __init__(self, source: SampleSource, resolution: str, demand: Demand, notes: Notes) -> None:
        """resolution: ``raw``, ``auto`` or the name of a tier. Raises: BadQuery for another."""
        known = (RAW, *source.tiers, AUTO)
        if resolution not in known:
            raise BadQuery(f"invalid parameter 'resolution': {resolution[:40]!r} is none of {', '.join(known)}")
        self._resolution = resolution
        self._samples_from_ms = source.samples_from_ms
        self._order = (RAW, *source.tiers)
        self._demand = demand
        self._notes = notes
        self._used: set[str] = set()

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the rungs that answered, samples first, then from the finest tier on."""
        return tuple(name for name in self._order if name in self._used)

    def plan(self, selected: Selected, rows: tuple[int, int], look: Look) -> Plan:
        """Choose what answers each step: samples or tiers.

        selected: series of a selector. rows: [first, last) of them. look: the time ranges it reads. Raises:
        ExecutionFailed if the named tier cannot answer the function.
        """
        if rows[0] == rows[1] or not len(look.at_ms):
            return Plan()
        begins_ms = int(look.at_ms[0]) - look.reach_ms + 1
        if self._resolution == RAW or (self._resolution == AUTO and begins_ms >= self._samples_from_ms):
            self._used.add(RAW)
            return Plan()
        if look.function not in NEEDS:
            return self._only_samples(look)
        if self._resolution == AUTO:
            plan = self._stitched(selected.kept(*rows), look)
        else:
            plan = self._named(selected.kept(*rows), look)
        self._note(plan, look)
        return plan

    def note_end(self) -> None:
        """Note which tiers answered, where some did."""
        tiers = [name for name in self.used if name != RAW]
        if tiers and self._resolution == AUTO:
            why = f"samples are retained from {_moment(self._samples_from_ms)} on"
            self._notes.add("info", f"answered in part from windows of {_listed(tiers)}, as {why}", 0)
        elif tiers:
            self._notes.add("info", f"answered from windows of {_listed(tiers)}", 0)

    def _only_samples(self, look: Look) -> Plan:
        """Steps whose samples are all retained; the others have no value, but for a range of samples itself."""
        what = f"{look.function} needs samples" if look.function else "a range selector by itself needs samples"
        if self._resolution != AUTO:
            where = self._notes.line_and_column(look.at)
            raise ExecutionFailed(f"{where}: {what}: resolution={self._resolution} has none, raw or auto may")
        self._used.add(RAW)
        said = f"{what}, which are retained from {_moment(self._samples_from_ms)} on"
        if not look.function:
            self._notes.add("warning", f"{said}: earlier ones may be missing", look.at)
            return Plan()
        self._notes.add("warning", f"{said}: steps that reach back further have no value", look.at)
        return Plan(int(np.searchsorted(look.at_ms - look.reach_ms + 1, self._samples_from_ms)))

    def _named(self, kept: Sequence[Kept], look: Look) -> Plan:
        """One tier for all steps, for the series that come so far."""
        needs, stretches = NEEDS[look.function], []
        for part in kept:
            rung = next((one for one in part.rungs if one.name == self._resolution), None)
            if rung is not None and not needs <= {*rung.aggregates}:
                missing = ", ".join(sorted(needs - {*rung.aggregates}))
                where = self._notes.line_and_column(look.at)
                what = f"{look.function} needs the aggregate {missing}"
                raise ExecutionFailed(f"{where}: {what}, which the tier {rung.name} does not keep (ladder.tiers)")
            if rung is not None:
                stretches.append(Stretch(part.rows, rung, 0, len(look.at_ms)))
        return Plan(len(look.at_ms), tuple(stretches))

    def _stitched(self, kept: Sequence[Kept], look: Look) -> Plan:
        samples_from, stretches = len(look.at_ms), []
        for part in kept:
            for rung, first, last in _pieces(self._candidates(part, NEEDS[look.function]), look):
                if rung.name == RAW:
                    samples_from = min(samples_from, first)
                else:
                    stretches.append(Stretch(part.rows, rung, first, last))
        return Plan(samples_from, tuple(stretches))

    def _candidates(self, kept: Kept, needs: frozenset[str]) -> list[Rung]:
        """Samples, the coarsest tier that serves, and those above it."""
        tiers = [rung for rung in kept.rungs[1:] if needs <= {*rung.aggregates}]
        serving = [rung for rung in tiers if self._demand.served_by(rung.interval_ms, whole=False)]
        whole = [rung for rung in serving if self._demand.served_by(rung.interval_ms, whole=True)]
        chosen = (whole or serving)[-1:] if self._demand.steps_ms else []
        begin = tiers.index(chosen[0]) if chosen else 0
        return [kept.rungs[0], *tiers[begin:]]

    def _note(self, plan: Plan, look: Look) -> None:
        if plan.samples_from < len(look.at_ms):
            self._used.add(RAW)
        for stretch in plan.stretches:
            name, wide_ms = stretch.rung.name, widened(look.reach_ms, stretch.rung.interval_ms)
            self._used.add(name)
            if look.is_range and wide_ms != look.reach_ms:
                made = "answered as a share of" if look.function in SHARED else "answered as"
                asked, wide = interval_name(look.reach_ms), interval_name(wide_ms)
                self._notes.add("warning", f"a range of {asked} is {made} {wide} in windows of {name}", look.at)


def _pieces(rungs: Sequence[Rung], look: Look) -> Iterator[tuple[Rung, int, int]]:
    """Steps [first, last) of each rung, later ones first: each takes those that it has all of.

    What no rung has all of is left to the one that has most.
    """
    at_ms, most = look.at_ms, min(rungs, key=lambda rung: rung.from_ms)
    last = len(at_ms)
    for rung in rungs:
        starts = at_ms[:last] - look.reach_ms + 1
        if rung.name != RAW:
            starts = borders(at_ms[:last], rung.interval_ms) - widened(look.reach_ms, rung.interval_ms)
        first = 0 if rung is most else int(np.searchsorted(starts, rung.from_ms))
        if first < last:
            yield rung, first, last
            last = first


def _moment(at_ms: int) -> str:
    try:
        return f"{np.datetime64(at_ms, 'ms')}Z"
    except ValueError:
        return f"{at_ms}ms"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
