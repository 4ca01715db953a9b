"""Chooses the tiers of an export: the named one, or with ``auto`` the coarsest that fits the step, then coarser ones.

    asked                 ├──────────────────────────────────────────────────────┤   step 1m
    kept      raw                                            ├──────────────────►
              1m                              ├─────────────────────────────────►
              1h       ├────────────────────────────────────────────────────────►
    answer                ├──────── 1h ───────┤├────────────── 1m ───────────────┤

Pieces meet at a window boundary of the coarser tier. The retained range of each tier is read from the existing blocks.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import msgspec

from nissa.files.names import RAW_KIND, tier_kind, tier_of
from nissa.model.errors import BadQuery
from nissa.model.ladder import AUTO, RAW, Policy, interval_name
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from nissa.rollup.windows import ceil_ms
from nissa.store.read import Snapshot, head_range_ms

QUANTILES = ("0.5", "0.95", "0.99")
QUANTILES_MAX = 32
POINTS = 1_000  # of a series in an answer whose step is not said
STEP_MS_MAX = 10 * 365 * DAY_MS
NEVER_MS = 2**63 - 1

_UNITS_MS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS, "y": 365 * DAY_MS}
_DURATION = re.compile(r"(?:(\d{1,12})(ms|[smhdwy]))+", re.ASCII)
_TERM = re.compile(r"(\d{1,12})(ms|[smhdwy])", re.ASCII)
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)


class WindowSelection(msgspec.Struct, frozen=True):
    """The requested windows. step_ms: 0 if not given. quantiles: as written; None if not given."""

    resolution: str = RAW
    step_ms: int = 0
    quantiles: tuple[str, ...] | None = None

    @property
    def is_raw(self) -> bool:
        """True if only samples are requested."""
        return self.resolution == RAW

    @property
    def probabilities(self) -> dict[str, float]:
        """Probabilities by their names in answers: ``p99.9`` is 0.999."""
        return {_percent(text): float(text) for text in (QUANTILES if self.quantiles is None else self.quantiles)}


class PlannedRead(msgspec.Struct, frozen=True):
    """One stretch of time read at one resolution. place: of the tier; None for samples. [start_ms, end_ms)."""

    place: int | None
    start_ms: int
    end_ms: int


def read_selected(resolution: str, step: str = "", quantiles: str = "") -> WindowSelection:
    """Parse three parameters of an export; an empty one counts as not given.

    resolution: ``raw``, ``auto`` or a tier. step: seconds or a duration. quantiles: numbers separated by commas.
    Raises: BadQuery, naming the parameter.
    """
    wanted = WindowSelection(resolution or RAW, _step_ms(step), _quantiles(quantiles))
    if wanted.is_raw and (step or quantiles):
        said = "step" if step else "quantiles"
        raise BadQuery(f"invalid parameter {said!r}: not allowed with resolution={RAW}")
    return wanted


def plan_reads(
    snapshot: Snapshot, wanted: WindowSelection, interval_ms: tuple[int, int], policy: Policy | None = None
) -> list[PlannedRead]:
    """The reads that together answer a request, in order of time.

    interval_ms: half-open, of the request. policy: that of its series, if any.
    Raises: BadQuery where the resolution is none of the ladder's, or keeps no quantiles and some are asked for.
    """
    names = [RAW, *(row.tier.name for row in snapshot.tiers)]
    if wanted.resolution not in (*names, AUTO):
        known = ", ".join((*names, AUTO))
        raise BadQuery(f"invalid parameter 'resolution': {wanted.resolution[:40]!r} is none of {known}")
    if wanted.resolution != AUTO:
        chosen = names.index(wanted.resolution)
        if wanted.quantiles and not snapshot.tiers[chosen - 1].tier.has_sketch:
            raise BadQuery(f"invalid parameter 'quantiles': the tier {wanted.resolution} has none")
        return [PlannedRead(chosen - 1 if chosen else None, *interval_ms)]
    kept = _kept_from(snapshot, policy)
    start_ms = max(interval_ms[0], min(kept))
    end_ms = min(interval_ms[1], _latest_ms(snapshot) + 1)
    step_ms = wanted.step_ms or max(end_ms - start_ms, 0) // POINTS
    return _stitch(snapshot, kept, min(_serving(snapshot, step_ms), len(kept) - 1), (start_ms, end_ms))


def _serving(snapshot: Snapshot, step_ms: int) -> int:
    """The coarsest rung, 0 for samples, whose windows a step is made of; else the coarsest that is not longer."""
    shorter = [rung for rung, row in enumerate(snapshot.tiers, 1) if row.tier.interval_ms <= step_ms]
    whole = [rung for rung in shorter if step_ms % snapshot.tiers[rung - 1].tier.interval_ms == 0]
    return max(whole or shorter, default=0)


def _stitch(snapshot: Snapshot, kept: Sequence[int], rung: int, interval_ms: tuple[int, int]) -> list[PlannedRead]:
    start_ms, end_ms = interval_ms
    reads: list[PlannedRead] = []
    while start_ms < end_ms:
        coarser = next((one for one in range(rung + 1, len(kept)) if kept[one] < kept[rung]), None)
        if coarser is None or kept[rung] <= start_ms:
            reads.append(PlannedRead(rung - 1 if rung else None, start_ms, end_ms))
            break
        border_ms = ceil_ms(kept[rung], snapshot.tiers[coarser - 1].tier.interval_ms) if kept[rung] < end_ms else end_ms
        if border_ms < end_ms:
            reads.append(PlannedRead(rung - 1 if rung else None, border_ms, end_ms))
            end_ms = border_ms
        rung = coarser
    return reads[::-1]


def _kept_from(snapshot: Snapshot, policy: Policy | None) -> list[int]:
    """Time from which on each rung that is reached has data; a tier also has windows that can be folded from below."""
    in_memory = head_range_ms(snapshot) or (NEVER_MS, NEVER_MS)
    kept = [min((in_memory[0], *(block.min_ms for block in snapshot.blocks if block.kind == RAW_KIND)))]
    for row in snapshot.tiers:
        name, kept_ms = row.tier.name, 0 if policy is None else policy.retention_ms.get(row.tier.name, 0)
        if policy is not None and not kept_ms:
            break
        kind = tier_kind(name, "" if policy is None else interval_name(kept_ms))
        own = (block.min_ms for block in snapshot.blocks if block.kind == kind)
        kept.append(min((kept[-1], *own)))
    return kept


def _latest_ms(snapshot: Snapshot) -> int:
    in_memory = head_range_ms(snapshot) or (-NEVER_MS, -NEVER_MS)
    lengths = {row.tier.name: row.tier.interval_ms for row in snapshot.tiers}
    ends = (block.max_ms + lengths.get(tier_of(block.kind), 0) for block in snapshot.blocks)
    return max((in_memory[1], *ends))


def _step_ms(text: str) -> int:
    if not text:
        return 0
    step_ms = 0
    if _SECONDS.fullmatch(text):
        step_ms = int(Decimal(text) * SECOND_MS)
    elif _DURATION.fullmatch(text):
        step_ms = sum(int(count) * _UNITS_MS[unit] for count, unit in _TERM.findall(text))
    if not 1 <= step_ms <= STEP_MS_MAX:
        most = interval_name(STEP_MS_MAX)
        raise BadQuery(
            f"invalid parameter 'step': {text[:40]!r} is not a duration from 1ms to {most}, such as 60 or 1h30m"
        )
    return step_ms


def _quantiles(text: str) -> tuple[str, ...] | None:
    if not text:
        return None
    texts = [one.strip() for one in text.split(",", QUANTILES_MAX)]
    if len(texts) > QUANTILES_MAX:
        raise BadQuery(f"invalid parameter 'quantiles': over the limit of {QUANTILES_MAX}")
    for one in texts:
        try:
            fits = len(one) <= 20 and 0 <= Decimal(one) <= 1
        except InvalidOperation:
            fits = False
        if not fits:
            raise BadQuery(f"invalid parameter 'quantiles': {one[:40]!r} is not a number from 0 to 1")
    return tuple(texts)


def _percent(text: str) -> str:
    percent = f"{Decimal(text) * 100:f}"
    return "p" + (percent.rstrip("0").rstrip(".") if "." in percent else percent)
