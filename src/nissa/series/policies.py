"""Policies of series: the retention of a series' windows, by tier and by their start.

    epochs     from ever: no policies       from 2026-03-01: debug_.* off       from 2026-05-09: …
               ├────────────────────────────┤├──────────────────────────────────┤├────────────────
    windows          as the tiers say            policy of the series then           policy now

A window falls under the policies in force where it starts, whenever it is written: so what is written, what is
computed again and what is verified agree, and a change of policies changes nothing that lies before it. Within an epoch
the first policy whose selector means the series decides. New series are judged when they are first asked for.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.ladder import AS_THE_TIER, Policy, PolicyEpoch, Tier
from nissa.model.selector import read_selector
from nissa.series.select import SeriesView, select

NEVER_ENDS_MS = 2**63 - 1

Classes = npt.NDArray[np.uint8]


class SeriesPolicies:
    """The policies of a directory over its index (``model.ladder.RetentionPolicy``). Safe to use from any thread."""

    def __init__(self, index: SeriesView, epochs: Sequence[PolicyEpoch]) -> None:
        """epochs: in order of time; before the first one tiers decide."""
        self._index = index
        self._epochs = tuple(epochs)
        starts = [epoch.from_ms for epoch in epochs]
        self._spans = list(pairwise((*starts, NEVER_ENDS_MS)))
        self._selectors = [[read_selector(policy.match) for policy in epoch.policies] for epoch in epochs]
        self._classes: dict[int, Classes] = {}

    def follow(self, index: SeriesView) -> None:
        """Ask this index from now on, in which ids mean the same."""
        self._index = index

    def kept_ms(self, tier: Tier, series: SeriesColumn, start_ms: TimeColumn) -> TimeColumn:
        """Retention of each window, milliseconds: AS_THE_TIER, or 0 for windows that are not stored.

        tier: of all the windows. series, start_ms: series id and start of each window, Unix milliseconds, of equal
        length.
        """
        out = np.full(len(series), AS_THE_TIER, np.int64)
        for number, (first_ms, end_ms) in enumerate(self._spans):
            inside = (start_ms >= first_ms) & (start_ms < end_ms)
            policies = self._epochs[number].policies
            if policies and inside.any():
                kept = [AS_THE_TIER, *(policy.retention_ms.get(tier.name, 0) for policy in policies)]
                out[inside] = np.array(kept, np.int64)[self._classes_of(number, series)[series[inside]]]
        return out

    def groups(self, series: SeriesColumn) -> list[tuple[Policy | None, SeriesColumn]]:
        """Series by the policy that is in force for them now; None where the tiers decide."""
        if not self._epochs or not self._epochs[-1].policies or not len(series):
            return [(None, series)]
        policies = (None, *self._epochs[-1].policies)
        classes = self._classes_of(len(self._epochs) - 1, series)[series]
        found = sorted(np.unique(classes).tolist(), key=lambda one: one or len(policies))
        return [(policies[one], series[classes == one]) for one in found]

    def _classes_of(self, number: int, series: SeriesColumn) -> Classes:
        """The policy of each series, by id, counted from 1; 0 where there is none: ids without one take no memory."""
        known = self._classes.get(number)
        if known is not None and (not len(series) or int(series.max()) < len(known)):
            return known
        selectors, index = self._selectors[number], self._index
        count = max(index.series_count, int(series.max()) + 1 if len(series) else 0)
        classes = np.zeros(count, np.uint8)
        for place in range(len(selectors) - 1, -1, -1):  # the first of them is written last
            meant = select(index, selectors[place])
            classes[meant[meant < count]] = place + 1
        self._classes[number] = classes
        return classes
