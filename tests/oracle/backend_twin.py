"""A backend over samples in memory: the real index and a real snapshot of one head, no journal and no threads."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nissa.catalogue.catalogue import TierRow
from nissa.model.columns import Metadata, SampleBatch
from nissa.model.counters import Counters
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.status import SeriesStatus, Status
from nissa.store.event_runs import EventSnapshot
from nissa.store.read import Snapshot
from oracle.series_twin import Labels, index_of


class BackendTwin:
    """The interface of an engine that queries use."""

    def __init__(self, series: Sequence[Labels], batch: SampleBatch) -> None:
        self.index = index_of(series)
        self._batch = batch
        self.tallies = {
            "http/remote_write_1": Counters(frames=2, received=9, stored=6, duplicate=1, refused={"too_old": 2})
        }
        self.events = EventSnapshot(Path())
        self.facts = Status(mode="ready", data_dir="", durability="fsync", series=SeriesStatus(3, 3, limit=10))

    def snapshot(self) -> Snapshot:
        tiers = tuple(map(TierRow, DEFAULT_TIERS))
        return Snapshot(Path(), heads=(self._batch,) if len(self._batch) else (), tiers=tiers)

    @property
    def arrivals(self) -> None:
        """None: answers are not cached."""

    def event_snapshot(self) -> EventSnapshot:
        return self.events

    def accounting(self) -> dict[str, Counters]:
        return self.tallies

    @property
    def admin(self) -> None:
        """A directory that is only read."""

    def status(self) -> Status:
        return self.facts

    def metadata(self) -> list[Metadata]:
        return [Metadata("up", "gauge", "Is it up?", ""), Metadata("seen_total", "counter", "", "seconds")]


def regular(series_count: int, per_series: int, step_ms: int = 1_000, first_ms: int = 1_732_190_000_000) -> SampleBatch:
    """Samples at equal steps, values from a fixed seed."""
    ts_ms = np.tile(np.arange(per_series, dtype=np.int64) * step_ms + first_ms, series_count)
    value = np.random.default_rng(7).normal(size=series_count * per_series)
    return SampleBatch(np.repeat(np.arange(series_count, dtype=np.uint32), per_series), ts_ms, value)
