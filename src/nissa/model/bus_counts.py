"""Counts of Esper's bus messages, with the metric names of the first version of Nissa, which dashboards use."""

from collections.abc import Mapping

import msgspec

LABELS_MAX = 256  # values of one label; the rest is counted as "other"
OTHER = "other"


class BusCounts(msgspec.Struct):
    """Messages of one frame, or of all frames since the start.

    packets: telemetry packets by source. states: SystemStatePackets by source. reports: FieldReports by outcome.
    hazards: BSDS hazard events, by family (``high``, ``critical``) and provenance. simic_reward, simic_iterations:
    sums over packets of simic. Messages that come again are counted again, as they always were.
    """

    packets: dict[str, int] = {}
    states: dict[str, int] = {}
    reports: dict[str, int] = {}
    hazards_high: dict[str, int] = {}
    hazards_critical: dict[str, int] = {}
    simic_reward: float = 0.0
    simic_iterations: float = 0.0

    def add(self, other: "BusCounts") -> None:
        """Add the counts of one frame."""
        for mine, more in (
            (self.packets, other.packets),
            (self.states, other.states),
            (self.reports, other.reports),
            (self.hazards_high, other.hazards_high),
            (self.hazards_critical, other.hazards_critical),
        ):
            _add(mine, more)
        self.simic_reward += other.simic_reward
        self.simic_iterations += other.simic_iterations


def _add(mine: dict[str, int], more: Mapping[str, int]) -> None:
    for label, count in more.items():
        key = label if label in mine or len(mine) < LABELS_MAX else OTHER
        mine[key] = mine.get(key, 0) + count
