"""The in-process workloads against those of the base revision, run by turns in the same minute, by pytest-benchmark.

    python -m pytest bench/test_regression.py                 compare: fails over RATIO_MAX times the base
    NISSA_BENCH_BASE=v0.1.0 python -m pytest bench -k sketch    with another base (bench/base.py)

Two processes, one with the modules of the base, run a workload in turns on one processor, so that its clock rate and
its neighbours are the same for both: two processors of one machine may differ by half. The median of the ratios of
turns is compared, never a saved figure. A workload that looks slower is run again, longer: it fails where it is slower
then too. pytest-benchmark's table shows the CPU time of this revision; ``extra_info`` of its JSON has the ratio.
"""

import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.base import ROOT, base_tree
from bench.guarded import WORKLOADS

RATIO_MAX = 1.2
TURNS = 9
TURNS_AGAIN = 40
GUARDED = Path(__file__).parent / "guarded.py"


class Reported:
    """The clock of pytest-benchmark: CPU seconds that workloads have reported so far."""

    total_s = 0.0

    def now_s(self) -> float:
        """Seconds; it stands still but for ``Side.run_s``."""
        return self.total_s


REPORTED = Reported()


class Side:
    """A process that runs one workload of a tree. count: what a run works on; 0 where the tree does not know it."""

    def __init__(self, name: str, *paths: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(GUARDED), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, {max(os.sched_getaffinity(0))})
        word, _, count = self._line().partition(" ")
        self.count = int(count) if word == "ready" else 0

    def run_s(self) -> float:
        """CPU seconds of one run."""
        stdin = _there(self._process.stdin)
        stdin.write("go\n")
        stdin.flush()
        took_s = float(self._line())
        REPORTED.total_s += took_s
        return took_s

    def close(self) -> None:
        """End the process."""
        _there(self._process.stdin).close()
        self._process.wait()

    def _line(self) -> str:
        line = _there(self._process.stdout).readline().strip()
        if not line:
            raise RuntimeError(f"the workload ended with {self._process.wait()}")
        return line


def _there(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("no pipe")
    return pipe


@pytest.fixture(scope="session", name="base")
def _base() -> Path:
    tree = base_tree()
    if tree is None:
        pytest.skip("the base revision is not in this clone: git fetch, or NISSA_BENCH_BASE=REVISION")
    return tree


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.benchmark(timer=REPORTED.now_s, group="beside the base revision")
def test_no_workload_is_slower_than_its_base(name: str, base: Path, benchmark: BenchmarkFixture) -> None:
    """A workload takes at most RATIO_MAX of the CPU time it takes with the base revision."""
    with ExitStack() as stack:
        sides = []
        for paths in ((base, base / "lib"), (ROOT, ROOT / "src")):
            sides.append(Side(name, *paths))
            stack.callback(sides[-1].close)
        old, new = sides
        assert new.count, "the workload cannot be set up"
        if not old.count:
            pytest.skip("the base revision has no such workload")
        if old.count != new.count:
            pytest.skip("the base revision runs another workload under this name")
        turns = Turns(old, new)
        benchmark.pedantic(turns.new, setup=turns.old_before, teardown=turns.old_after, rounds=TURNS)
        ratio = turns.ratio()
        if ratio > RATIO_MAX:
            ratio = turns.again(TURNS_AGAIN).ratio()
    benchmark.extra_info.update(ratio=round(ratio, 4), count=new.count)
    print(f"{name}: {ratio:.3f} times the base")
    assert ratio <= RATIO_MAX, f"{ratio:.2f} times the base"


class Turns:
    """Runs of both sides; which begins changes each turn."""

    def __init__(self, old: Side, new: Side) -> None:
        self._old, self._new = old, new
        self._pairs: list[list[float]] = []

    def old_before(self) -> None:
        """Begin a turn: with the base, in every second one."""
        self._pairs.append([0.0, 0.0])
        if len(self._pairs) % 2:
            self._pairs[-1][0] = self._old.run_s()

    def new(self) -> None:
        """Run this revision."""
        self._pairs[-1][1] = self._new.run_s()

    def old_after(self) -> None:
        """End a turn: with the base, where it did not begin."""
        if not len(self._pairs) % 2:
            self._pairs[-1][0] = self._old.run_s()

    def again(self, turns: int) -> "Turns":
        """As many new turns."""
        other = Turns(self._old, self._new)
        for _ in range(turns):
            other.old_before()
            other.new()
            other.old_after()
        return other

    def ratio(self) -> float:
        """Median of new to old."""
        return statistics.median(new_s / old_s for old_s, new_s in self._pairs)
