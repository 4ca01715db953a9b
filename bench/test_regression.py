"""The in-process workloads against a saved baseline.

    python -m pytest bench --benchmark-only                      compare: fails over RATIO_MAX times the baseline
    NISSA_BENCH_SAVE=1 python -m pytest bench --benchmark-only   save the baseline: bench/baseline/ratios.json

What is kept and compared is not seconds but the ratio to a yardstick, a fixed piece of work that is not ours (hashing
and snappy), timed beside each workload: so a baseline made on one machine means something on another.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cramjam
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import ladder_workloads, workloads
from bench.workloads import Workload, cpu_s

BASELINE = Path(__file__).parent / "baseline" / "ratios.json"
RATIO_MAX = 1.5
ROUNDS = 7
YARDSTICK_BYTES = 4 << 20

WORKLOADS: dict[str, Callable[[], Workload]] = {
    "remote_write_1_known_small": lambda: workloads.remote_write_known("small", 1),
    "remote_write_1_known_large": lambda: workloads.remote_write_known("large", 1),
    "remote_write_1_known_million": lambda: workloads.remote_write_known("million", 1),
    "remote_write_2_known_small": lambda: workloads.remote_write_known("small", 2),
    "remote_write_1_new_large": lambda: workloads.remote_write_new("large", 1),
    "leyline_known": lambda: workloads.leyline_known(32),
    "packets_known": lambda: workloads.packets_known(32),
    "columns_known_1_round": lambda: workloads.columns_known("small", 1),
    "columns_known_10_rounds": lambda: workloads.columns_known("small", 10),
    "series_restore_large": lambda: workloads.restored("large"),
    "series_filter_large": lambda: workloads.filtered("large"),
    "columns_sort_rounds_large": lambda: workloads.sorted_head("large", "rounds"),
    "columns_sort_shuffled_large": lambda: workloads.sorted_head("large", "shuffled"),
    "selection_select_large": lambda: workloads.selected("large"),
    "batch_append_million": lambda: workloads.appended("million"),
    "events_filtered": workloads.events_filtered,
    "rollup_samples_10s": lambda: ladder_workloads.folded_samples("10s"),
    "rollup_windows_10s": lambda: ladder_workloads.folded_windows("10s"),
    "sketch_add_typical": lambda: ladder_workloads.added("typical"),
    "sketch_merge_typical": lambda: ladder_workloads.merged("typical"),
    "sketch_quantiles_typical": lambda: ladder_workloads.asked("typical"),
}


def yardstick() -> Callable[[], int]:
    """Work that no change of ours makes faster or slower."""
    words = np.random.default_rng(0).integers(0, 64, YARDSTICK_BYTES, np.uint8).tobytes()

    def run() -> int:
        packed = bytes(cramjam.snappy.compress_raw(words))
        assert len(cramjam.snappy.decompress_raw(packed)) == YARDSTICK_BYTES
        return len(hashlib.blake2b(words).digest())

    return run


@pytest.fixture(scope="module")
def saved() -> Iterator[dict[str, float]]:
    """The baseline; written back at the end where NISSA_BENCH_SAVE asks for it."""
    ratios: dict[str, float] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    yield ratios
    if os.environ.get("NISSA_BENCH_SAVE"):
        BASELINE.write_text(json.dumps(ratios, indent=4, sort_keys=True) + "\n")


@pytest.mark.benchmark(timer=time.process_time, warmup=True, min_rounds=ROUNDS, max_time=1.0, disable_gc=True)
@pytest.mark.parametrize("name", WORKLOADS)
def test_no_workload_got_slower(name: str, benchmark: BenchmarkFixture, saved: dict[str, float]) -> None:
    """A workload takes at most RATIO_MAX as much, measured against the yardstick, as when the baseline was saved."""
    workload = WORKLOADS[name]()
    before_s = cpu_s(yardstick(), ROUNDS)
    count = benchmark(workload.run)
    assert count == workload.count
    yardstick_s = (before_s + cpu_s(yardstick(), ROUNDS)) / 2
    took_s = benchmark.stats.stats.median
    ratio = took_s / yardstick_s
    benchmark.extra_info.update(ns_each=round(took_s / count * 1e9, 2), yardsticks=round(ratio, 4))
    if os.environ.get("NISSA_BENCH_SAVE"):
        saved[name] = round(ratio, 4)
        return
    if name not in saved:
        pytest.skip("not in the baseline: NISSA_BENCH_SAVE=1 saves it")
    assert ratio <= saved[name] * RATIO_MAX, f"{ratio / saved[name]:.2f} times the baseline"
