"""A directory with one block per hour of age, and the jobs that look after it on clocks that a test sets."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from nissa.catalogue.catalogue import BlockRow, SeriesSegment
from nissa.config.tree import Config
from nissa.maintenance.clock_guard import ClockReading, write_clock_reading
from nissa.maintenance.jobs import Job
from nissa.maintenance.retainer import Retainer
from nissa.maintenance.scrubber import Scrubber
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, GIB, HOUR_MS, MINUTE_MS
from nissa.store.block_set import BlockSet
from nissa.store.tombstones import Tombstones
from oracle.directory import Directory

NOW_MS = 20_000 * DAY_MS
TEN_YEARS_MS = 3_650 * DAY_MS


def config_of(tiers: bool = False, **storage: int) -> Config:
    """Settings without a ladder, so that raw blocks are deleted by age alone."""
    config = Config()
    ladder = config.ladder if tiers else msgspec.structs.replace(config.ladder, tiers=())
    settings = {"free_bytes_min": 0, "free_percent_min": 0, "scrub_bytes_per_second_max": GIB, **storage}
    return Config(storage=msgspec.structs.replace(config.storage, **settings), ladder=ladder)


class Listed(BlockSet):
    """A set of which something happens each time its blocks are listed."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    @property
    def blocks(self) -> tuple[BlockRow, ...]:  # type: ignore[override]
        """All blocks, after calling ``meanwhile``."""
        self.meanwhile()
        return self.there

    @blocks.setter
    def blocks(self, blocks: tuple[BlockRow, ...]) -> None:
        self.there = blocks


class House:
    """The directory and its jobs."""

    def __init__(self, path: Path, ages: Sequence[int], config: Config | None = None) -> None:
        self.directory = Directory(path)
        self.wall_ms, self.steady_ms, self.boot = NOW_MS, 7, "boot"
        for age in ages:
            newest = NOW_MS - age * HOUR_MS
            sealed = self.directory.seal([(1, newest - MINUTE_MS, 0), (1, newest, 0)])
            with self.directory.catalogue.transaction("block") as db:
                db.execute("UPDATE block SET created_ms = ? WHERE id = ?", (newest, sealed.blocks[0].id))
        write_clock_reading(self.directory.catalogue, ClockReading(NOW_MS, "boot", 7))
        self.config = config or config_of()
        self.rewritten: list[SeriesSegment] = []
        self.meanwhile: Callable[[], object] = lambda: None  # happens each time the blocks are listed
        self.head_ms: int | None = None
        self.open()

    def open(self, *, steady: bool = True) -> None:
        """A process that starts. steady: with a steady clock."""
        catalogue, path = self.directory.catalogue, self.directory.path
        self.block_set = Listed(path, catalogue, lambda: self.wall_ms)
        self.block_set.meanwhile = lambda: self.meanwhile()  # noqa: PLW0108 -- another one later
        clocks = (lambda: self.wall_ms, (lambda: (self.boot, self.steady_ms)) if steady else None)
        place, tombstones = (path, catalogue), Tombstones(catalogue)
        self.retainer = Retainer(*place, self.config, self.block_set, tombstones, *clocks, lambda: self.head_ms)
        self.scrubber = Scrubber(*place, self.config.storage, self.block_set, clocks[0], self._rewrite)
        self.jobs = (
            Job("retention", self.retainer.is_due, self.retainer.run),
            Job("scrub", self.scrubber.is_due, self.scrubber.run),
            Job("release", lambda: self.block_set.has_unheld, self.block_set.delete_unheld),
        )
        self.failures: list[Exception] = []

    @property
    def blocks(self) -> list[BlockRow]:
        """All blocks."""
        return list(self.block_set.blocks)

    def _rewrite(self, segment: SeriesSegment) -> bool:
        self.rewritten.append(segment)
        return False

    def step(self) -> None:
        """Run each job that is due, once, without rests."""
        for job in self.jobs:
            try:
                if job.due() and (slices := job.run()) is not None:
                    run_whole(slices)
            except OSError as error:
                self.failures.append(error)

    def pass_time(self, ms: int, steps: int = 1) -> None:
        """Let both clocks go on, with a step after each part."""
        for _ in range(steps):
            self.wall_ms += ms // steps
            self.steady_ms += ms // steps
            self.step()

    def ages(self) -> list[int]:
        """Hours of age, at NOW_MS, of what the catalogue, the list of blocks and the files agree on."""
        rows = self.directory.catalogue.blocks()
        files = sorted(
            str(path.relative_to(self.directory.path)) for path in self.directory.path.glob("blocks/*.parquet")
        )
        assert rows == self.blocks
        assert files == sorted(block.path for block in rows)
        return [(NOW_MS - block.max_ms) // HOUR_MS for block in rows]
