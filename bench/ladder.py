"""Cost of the ladder: hours of samples sealed as the daemon seals them, its tiers written beside them, step by step.

    python -m bench.ladder [--load mixed|devops] [--series 10000] [--hours 4] [--interval-s 10] [--seal-s 120]

    mixed     a quarter each of gauges with two decimals, counters of bytes, counters of seconds with two decimals, and
              gauges that change once in a hundred samples; all of them walks
    devops    the values of ``bench.load``: integer walks in 0..100

Clocks are simulated; heads of ``--seal-s`` become blocks, after each the ladder is brought up to them, then blocks are
merged, as on the maintenance thread. The same is done without a ladder: what sealing and merging take more with one is
what the ladder costs. Printed, in CPU nanoseconds per sample, where a sample counts once however many tiers it goes
through: what both cost, the ladder's by step, bytes per row. With a ladder raw blocks are merged by the hours it
folds, without one by their level, twice each sample; "read raw" is for both.

A block of 1h is written when 6 hours are over, one of 1d when 8 days are: ``--series 1500 --hours 12`` and ``--series
150 --hours 193`` have them. Every tier is checked against the number of samples there are.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nissa.catalogue.catalogue import BlockRow, Catalogue, Checkpoint, Seal
from nissa.config.tree import Ladder as Settings
from nissa.config.tree import Storage
from nissa.files.names import BLOCKS, RAW_KIND, SERIES
from nissa.ingest import ladder as writing
from nissa.ingest.ladder import Ladder, Moment
from nissa.model.columns import SampleBatch, empty_batch
from nissa.model.slices import run_whole
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.rollup import fold, merging
from nissa.rollup.merging import MergeWriter
from nissa.service.memory import tune_malloc
from nissa.store.block_set import BlockSet
from nissa.store.blocks import OpenBlock
from nissa.store.compaction import FAN_IN_ABOVE, merge_blocks, plan_compaction
from nissa.store.seal import HighWaterMarks, SealInput, write_seal
from nissa.store.tier_blocks import OpenTierBlock, TierWriter, read_tier_block
from nissa.store.tombstones import Tombstones

START_MS = 1_763_683_200_000 // DAY_MS * DAY_MS
LADDER = "the rest"  # of the ladder: what no step is charged with
ALWAYS = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Shape:
    """Kind and size of the load."""

    load: str = "mixed"
    series: int = 10_000
    hours: float = 4.0
    interval_s: int = 10
    seal_s: int = 120
    seed: int = 5

    @property
    def seals(self) -> int:
        """Heads that are sealed: the hours, and a quarter of one behind them, as the grace wants."""
        return round((self.hours * HOUR_MS + 16 * MINUTE_MS) / (self.seal_s * 1000))

    @property
    def samples(self) -> int:
        """Samples of all heads."""
        return self.seals * (self.seal_s // self.interval_s) * self.series


class Stages:
    """CPU seconds of this thread by step, each without the steps inside of it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[str] = []
        self._since = 0.0

    def switch(self, inside: list[str]) -> None:
        """From now on it is the last of ``inside`` that costs."""
        now = time.thread_time()
        if self._inside:
            self.seconds[self._inside[-1]] = self.seconds.get(self._inside[-1], 0.0) + now - self._since
        self._inside, self._since = inside, now

    def watch(self, owner: Any, name: str, stage: str | Callable[..., str]) -> None:
        """Charge every call of ``owner.name`` to a stage. It is only charged inside of another one."""
        plain = getattr(owner, name)

        def charged(*args: Any, **named: Any) -> Any:
            if not self._inside:
                return plain(*args, **named)
            before, inner = self._inside, stage if isinstance(stage, str) else stage(*args)
            self.switch([*before, inner if inner.startswith("raw: ") or before[0] == LADDER else before[0]])
            try:
                return plain(*args, **named)
            finally:
                self.switch(before)

        setattr(owner, name, charged)

    def run(self, stage: str, run: Callable[[], Any]) -> Any:
        """Run and charge what is charged to nothing else."""
        self.switch([stage])
        try:
            return run()
        finally:
            self.switch([])


@dataclass
class Walks:
    """Samples of all series, a stretch of time after the other."""

    shape: Shape
    rounds_made: int = 0
    level: np.ndarray = field(init=False)
    chance: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.shape.seed)
        self.level = self.chance.uniform(0, 100, self.shape.series)

    def next_batch(self) -> SampleBatch:
        """The samples of one seal, in order of arrival."""
        shape, series = self.shape, self.shape.series
        rounds = shape.seal_s // shape.interval_s
        steps = self.chance.normal(0, 1, (rounds, series))
        value = _integer_walk(self.level, steps) if shape.load == "devops" else _mixed_walk(self.level, steps)
        self.level = value[-1].copy()
        times = START_MS + (self.rounds_made + np.arange(rounds, dtype=np.int64)) * shape.interval_s * 1000
        self.rounds_made += rounds
        ids = np.tile(np.arange(series, dtype=np.uint32), rounds)
        return SampleBatch(ids, np.repeat(times, series), value.reshape(-1))


def _integer_walk(level: np.ndarray, steps: np.ndarray) -> np.ndarray:
    value, at = np.empty_like(steps), np.round(level)
    for number, step in enumerate(np.round(steps)):
        at = np.clip(at + step, 0, 100)
        value[number] = at
    return value


def _mixed_walk(level: np.ndarray, steps: np.ndarray) -> np.ndarray:
    kind = np.arange(len(level)) % 4
    scale = np.choose(kind, [0.5, 1e5, 3.0, 1.0])
    steps = np.where((kind == 1) | (kind == 2), np.abs(steps), steps) * scale
    steps[:, kind == 1] = np.round(steps[:, kind == 1])
    steps[:, kind == 3] *= np.abs(steps[:, kind == 3]) > 2.576
    return np.round(level + steps.cumsum(axis=0), 2)


def watch_all(stages: Stages) -> None:
    """The steps of the ladder."""
    stages.watch(OpenBlock, "__init__", "read raw: open")
    stages.watch(OpenBlock, "read_group", "read raw: decode")
    stages.watch(merging, "resolve", "raw: merge by hours, resolve")
    stages.watch(MergeWriter, "write", "raw: merge by hours, write")
    stages.watch(MergeWriter, "finish", "raw: merge by hours, write")
    stages.watch(fold, "fold_samples", "fold samples")
    stages.watch(fold, "fold_windows", "fold windows")
    stages.watch(OpenTierBlock, "__init__", "read windows: open")
    stages.watch(OpenTierBlock, "read_group", "read windows: decode")
    for name in ("__init__", "write", "finish"):
        stages.watch(TierWriter, name, _written_tier)
    stages.watch(writing, "late_windows", "look for late samples")
    stages.watch(Catalogue, "commit_tiers", "catalogue")
    stages.watch(Catalogue, "new_id", "catalogue")


def _written_tier(writer: TierWriter, *rest: Any) -> str:
    return f"write {Path(writer.path).name.split('-')[0] if hasattr(writer, 'path') else rest[2].name}"


class Sealer:
    """The work of the seal and maintenance threads, without the threads: seal, write the ladder, merge."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        for name in (BLOCKS, SERIES):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.catalogue = Catalogue.open(directory)
        self.horizon = HighWaterMarks((), 0)
        self.now_ms = START_MS
        self.block_set = BlockSet(directory, self.catalogue, lambda: self.now_ms)
        place = (directory, self.catalogue, settings, lambda: self.now_ms)
        self.ladder = Ladder(*place, self.block_set, Tombstones(self.catalogue))
        self.fan_in, self.span_ms = Storage().compaction_fan_in, settings.raw_retention_ms // 2
        self.lsn = 0
        self.head = empty_batch()
        self.longest_s: dict[str, float] = {}

    @property
    def blocks(self) -> tuple[BlockRow, ...]:
        """All blocks."""
        return self.block_set.blocks

    def seal(self) -> None:
        """The head becomes a block."""
        self.lsn += 1
        head = SealInput([self.head], self.lsn, self.lsn, self.now_ms)
        sealed = write_seal(self.directory, self.catalogue, self.horizon, head)
        self.catalogue.commit_seal(Seal(Checkpoint(self.lsn), sealed.blocks))
        self.horizon.advance(sealed)
        self.block_set.replace((), sealed.blocks)

    def advance(self) -> None:
        """The ladder is written as far as it can be."""
        while run_whole(self.ladder.advance(Moment(self.blocks, self.lsn, self.now_ms))):
            self.block_set.delete_unheld()

    def merge(self) -> None:
        """Raw blocks are merged as far as they can be."""
        above = FAN_IN_ABOVE * self.fan_in if self.ladder.rows else self.fan_in
        while chosen := plan_compaction(self.blocks, self.fan_in, self.span_ms, fan_in_above=above):
            publish = partial(self.block_set.exchange, chosen)
            run_whole(merge_blocks(self.directory, self.catalogue, chosen, self.now_ms, publish))
            self.block_set.delete_unheld()


def measure(shape: Shape, stages: Stages, directory: Path) -> tuple[list[Sealer], list[dict[str, float]]]:
    """The whole load with a ladder and without one, side by side: what a busy machine does to one it does to both."""
    walks = Walks(shape)
    sealers = [Sealer(directory / "with", Settings()), Sealer(directory / "without", Settings(tiers=()))]
    spent: list[dict[str, float]] = [{}, {}]
    for number in range(shape.seals):
        batch = walks.next_batch()
        for sealer, seconds in zip(sealers, spent, strict=True):
            stages.seconds = seconds
            sealer.now_ms = START_MS + (number + 1) * shape.seal_s * 1000
            sealer.head = batch
            for stage, run in (("raw: seal", sealer.seal), (LADDER, sealer.advance), ("raw: merge", sealer.merge)):
                began = time.thread_time()
                stages.run(stage, run)
                sealer.longest_s[stage] = max(sealer.longest_s.get(stage, 0.0), time.thread_time() - began)
    return sealers, spent


def check(sealer: Sealer, shape: Shape) -> Iterator[tuple[str, int, float]]:
    """Name, rows and bytes per row of each tier; raises where its windows do not hold every sample they ought to."""
    for row in sealer.ladder.rows:
        own = [block for block in sealer.blocks if block.kind == row.tier.name]
        if not own:
            continue
        samples = rows = 0
        for block in own:
            for windows in read_tier_block(sealer.directory, block, None, *ALWAYS):
                samples, rows = samples + int(windows.count.sum()), rows + len(windows)
        wanted = (row.written_until_ms - START_MS) // (shape.interval_s * 1000) * shape.series
        if samples != wanted:
            raise RuntimeError(f"{row.tier.name} holds {samples} samples of {wanted}")
        yield row.tier.name, rows, sum(block.bytes for block in own) / rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", choices=["mixed", "devops"], default="mixed")
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--interval-s", type=int, default=10)
    parser.add_argument("--seal-s", type=int, default=120)
    shape = Shape(**vars(parser.parse_args()))
    tune_malloc()  # as the daemon does
    stages = Stages()
    watch_all(stages)
    with tempfile.TemporaryDirectory(prefix="bench-ladder-") as directory:
        sealers, spent = measure(shape, stages, Path(directory))
        for sealer in sealers:
            tell_disk(sealer, shape)
    longest = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in sealers[0].longest_s.items())
    print(f"longest at a time, CPU s: {longest}")
    steps = sorted({*spent[0], *spent[1]}, key=lambda step: -spent[0].get(step, 0.0))
    print(f"{'CPU ns per sample':<30} {'with':>8} {'without':>8}")
    for step in steps:
        print(f"{step:<30}" + "".join(f" {one.get(step, 0.0) / shape.samples * 1e9:8.2f}" for one in spent))
    both, without = (sum(one.values()) / shape.samples * 1e9 for one in spent)
    print(f"{'all of it':<30} {both:8.2f} {without:8.2f}")
    print(f"{'the whole ladder':<30} {both - without:8.2f}")
    print(f"resident at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6:.0f} MB")


def tell_disk(sealer: Sealer, shape: Shape) -> None:
    """Print rows and bytes on disk, by tier."""
    for name, rows, row_bytes in check(sealer, shape):
        print(
            f"{name:<5} {rows:>12,} rows {row_bytes:7.1f} bytes each, {rows * row_bytes / shape.samples:.2f} per sample"
        )
    raw = [block for block in sealer.blocks if block.kind == RAW_KIND]
    rows = sum(block.rows for block in raw)
    print(f"raw   {rows:>12,} rows {sum(block.bytes for block in raw) / rows:7.2f} bytes each in {len(raw)} blocks")


if __name__ == "__main__":
    main()
