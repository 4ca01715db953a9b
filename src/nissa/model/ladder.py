"""Types of the ladder: tiers, their aggregates, and windows as columns.

    raw 6 h ─► 1m 24 h ─► 5m 7 d ─► 1h 30 d ─► 1d 365 d

The name of a tier is its interval in the largest whole unit: 90 s is ``90s``, 300 s is ``5m``. Its columns are defined
in ``docs/decisions/0006-the-ladder.md``.
"""

from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from nissa.model.errors import ConfigInvalid
from nissa.model.quantity import Unit, duration, write_quantity
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

if TYPE_CHECKING:  # settings name tiers, and a command that only shows its help loads no numpy
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from nissa.model.columns import SeriesColumn, TimeColumn, ValueColumn

RAW = "raw"
AUTO = "auto"
RETENTION_MS_MAX = 100 * 365 * DAY_MS
INTERVAL_MS_MAX = 31 * DAY_MS  # 2.7e9 ms, so a window's count of samples, one per ms at most, fits 32 bits
TIERS_MAX = 8
POLICIES_MAX = 32
AS_THE_TIER = -1
_UNITS = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s"), (1, "ms"))


class Aggregate(Enum):
    """Aggregates that a tier may store of a window besides its count; the value is the word of the configuration."""

    SUM = "sum"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    LAST = "last"
    STDDEV = "stddev"
    INCREASE = "increase"
    QUANTILES = "quantiles"


SCALARS = tuple(one.value for one in Aggregate if one is not Aggregate.QUANTILES)
ALL = tuple(one.value for one in Aggregate)


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One resolution: windows of interval_ms, retained for retention_ms."""

    interval_ms: Annotated[int, duration(1, INTERVAL_MS_MAX)]
    retention_ms: Annotated[int, duration(1, RETENTION_MS_MAX)]
    aggregates: tuple[str, ...] = ALL

    @property
    def name(self) -> str:
        """The word for it in ``resolution=``."""
        return interval_name(self.interval_ms)

    @property
    def has_sketch(self) -> bool:
        """True if quantiles can be asked of it."""
        return Aggregate.QUANTILES.value in self.aggregates


DEFAULT_TIERS = (
    Tier(MINUTE_MS, DAY_MS, SCALARS),
    Tier(5 * MINUTE_MS, 7 * DAY_MS),
    Tier(HOUR_MS, 30 * DAY_MS),
    Tier(DAY_MS, 365 * DAY_MS),
)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Policy of some series: the tiers they reach, and the retention in each.

    match: a selector. retention_ms: by tier, of the first tiers without a gap; none at all means samples only.
    """

    match: str
    retention_ms: Annotated[dict[str, int], duration(1, RETENTION_MS_MAX)] = {}


class PolicyEpoch(msgspec.Struct, frozen=True):
    """Policies in force for windows that start at from_ms or later, until the next epoch begins."""

    from_ms: int
    policies: tuple[Policy, ...] = ()


class RetentionPolicy(Protocol):
    """Retention of windows where policies differ from the tiers."""

    def kept_ms(self, tier: Tier, series: "SeriesColumn", start_ms: "TimeColumn") -> "TimeColumn":
        """Retention of each window, milliseconds: AS_THE_TIER, or 0 for windows that are not stored.

        tier: of all the windows. series, start_ms: series id and start of each window, Unix milliseconds, of equal
        length.
        """

    def groups(self, series: "SeriesColumn") -> "Sequence[tuple[Policy | None, SeriesColumn]]":
        """Series by the policy that is in force for them now; None where the tiers decide."""


class SketchColumn(msgspec.Struct, frozen=True):
    """n sketches as Arrow lays bytes out: ``data[offsets[i]:offsets[i + 1]]`` is sketch i.

    offsets: int32, shape (n + 1,). data: uint8. ``docs/format/ladder.md`` draws the bytes.
    """

    offsets: "npt.NDArray[np.int32]"
    data: "npt.NDArray[np.uint8]"

    def __len__(self) -> int:
        return len(self.offsets) - 1


class WindowBatch(msgspec.Struct, frozen=True):
    """Windows of one tier as parallel arrays of shape (n,), sorted by series, then start.

    start_ms: int64, a multiple of the interval. count: uint32, numbers. nans: uint32, NaN that are no staleness marker.
    min, max, first, last are NaN and sum is 0 where count is 0. m2: sum of (x - mean)^2, in 24 bits.
    resets: what a counter fell from, added up, so that inside of the window it went up by last - first + resets.
    carry: what sum lacks of the total; where sum is infinite and no value is, the total divided by 2^32; NaN in rows of
    builds that kept none.
    """

    series: "SeriesColumn"
    start_ms: "TimeColumn"
    count: "npt.NDArray[np.uint32]"
    nans: "npt.NDArray[np.uint32]"
    sum: "ValueColumn"
    min: "ValueColumn"
    max: "ValueColumn"
    first: "ValueColumn"
    last: "ValueColumn"
    m2: "ValueColumn"
    resets: "ValueColumn"
    carry: "ValueColumn"
    sketch: SketchColumn | None = None

    def __len__(self) -> int:
        return len(self.series)


@lru_cache(maxsize=64)  # of a few tiers, for every block there is
def interval_name(interval_ms: int) -> str:
    """The word for an interval: ``1m``, ``90s``, ``1d``."""
    unit_ms, unit = next((unit_ms, unit) for unit_ms, unit in _UNITS if interval_ms % unit_ms == 0)
    return f"{interval_ms // unit_ms}{unit}"


def interval_of(name: str) -> int:
    """The interval that ``interval_name`` gave this word."""
    unit = name.lstrip("0123456789")
    return int(name.removesuffix(unit)) * next(unit_ms for unit_ms, word in _UNITS if word == unit)


def check_tiers(tiers: tuple[Tier, ...], raw_retention_ms: int, path: str = "ladder") -> None:
    """Refuse tiers that cannot be computed from one another. Raises: ConfigInvalid with the path.

    raw_retention_ms: how long the samples themselves are kept.
    """
    if len(tiers) > TIERS_MAX:
        raise ConfigInvalid(f"{path}.tiers", f"{len(tiers)} tiers, at most {TIERS_MAX}")
    for number, tier in enumerate(tiers):
        _check_tier(tier, f"{path}.tiers[{number}]")
    for number, (lower, upper) in enumerate(pairwise(tiers), 1):
        _check_step(lower, upper, f"{path}.tiers[{number}]", sketch_from_samples=number == 1)
    for tier in tiers[:2]:  # quantiles of the first two come from samples
        if raw_retention_ms < tier.interval_ms:
            kept, wanted = interval_name(raw_retention_ms), tier.name
            raise ConfigInvalid(
                f"{path}.raw_retention", f"{kept} is shorter than the tier {wanted}, which is computed from the samples"
            )
    for number, (lower, upper) in enumerate(pairwise(tiers)):
        if lower.retention_ms < upper.interval_ms:
            what = f"{interval_name(lower.retention_ms)} is shorter than the interval of the next tier, {upper.name}"
            raise ConfigInvalid(f"{path}.tiers[{number}].retention", what)


def check_policies(policies: tuple[Policy, ...], tiers: tuple[Tier, ...], path: str = "ladder.policies") -> None:
    """Refuse policies that the tiers cannot follow; selectors are not read. Raises: ConfigInvalid with the path."""
    if len(policies) > POLICIES_MAX:
        raise ConfigInvalid(path, f"{len(policies)} policies, at most {POLICIES_MAX}")
    for number, policy in enumerate(policies):
        here = f"{path}[{number}].retention"
        names = [tier.name for tier in tiers]
        for name in policy.retention_ms:
            if name not in names:
                raise ConfigInvalid(here, f"{name[:40]!r} is none of the tiers {', '.join(names)}")
        reached = tiers[: len(policy.retention_ms)]
        for tier in reached:
            if tier.name not in policy.retention_ms:
                raise ConfigInvalid(here, f"{tier.name} is missing, but the coarser tiers are computed from it")
        for lower, upper in pairwise((*reached, None)):
            if lower is not None:
                _check_kept(policy.retention_ms[lower.name], lower, upper, f"{here}.{lower.name}")


def _words(ms: int) -> str:
    return write_quantity(ms, Unit.DURATION)


def _check_kept(kept_ms: int, tier: Tier, upper: Tier | None, path: str) -> None:
    if not tier.interval_ms <= kept_ms <= RETENTION_MS_MAX:
        raise ConfigInvalid(path, f"expected {tier.name} to {_words(RETENTION_MS_MAX)}, got {_words(kept_ms)}")
    if upper is not None and kept_ms < upper.interval_ms:
        what = f"{interval_name(kept_ms)} is shorter than the interval of the next tier, {upper.name}"
        raise ConfigInvalid(path, what)


def _check_tier(tier: Tier, path: str) -> None:
    if not 1 <= tier.interval_ms <= INTERVAL_MS_MAX:
        what = f"expected 1ms to {_words(INTERVAL_MS_MAX)}, got {_words(tier.interval_ms)}"
        raise ConfigInvalid(f"{path}.interval", what)
    if tier.retention_ms < tier.interval_ms:
        what = f"{_words(tier.retention_ms)} is shorter than its interval, {tier.name}"
        raise ConfigInvalid(f"{path}.retention", what)
    for place, word in enumerate(tier.aggregates):
        if word not in ALL:
            known = ", ".join(ALL)
            raise ConfigInvalid(f"{path}.aggregates[{place}]", f"{word[:40]!r} is none of {known}")
        if word in tier.aggregates[:place]:
            raise ConfigInvalid(f"{path}.aggregates[{place}]", f"{word} is listed twice")


def _check_step(lower: Tier, upper: Tier, path: str, *, sketch_from_samples: bool) -> None:
    if upper.interval_ms <= lower.interval_ms or upper.interval_ms % lower.interval_ms:
        what = f"{upper.name} is not a multiple of {lower.name}, the tier before"
        raise ConfigInvalid(f"{path}.interval", what)
    missing = [word for word in upper.aggregates if word not in lower.aggregates]
    if sketch_from_samples:
        missing = [word for word in missing if word != Aggregate.QUANTILES.value]
    if missing:
        what = f"{missing[0]} of {upper.name} cannot be computed: {lower.name}, the tier before, does not have it"
        raise ConfigInvalid(f"{path}.aggregates", what)
