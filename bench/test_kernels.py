"""The hot kernels alone, under pytest-benchmark, in CPU time: what one looks at while one works on a kernel.

    python -m pytest bench/test_kernels.py                           all of them
    python -m pytest bench/test_kernels.py -k rollup --benchmark-json build/rollup.json

Each run checks what it did. Nothing is compared here, for seconds of another machine or hour say nothing: that is
``bench/test_regression.py``. The column OPS is runs a second; ``extra_info`` of the JSON has nanoseconds
per sample (series, packet, window, sketch).
"""

import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.guarded import WORKLOADS

ROUNDS = 5
KERNELS = {
    "decode": (
        "remote_write_1_known_small",
        "remote_write_1_known_large",
        "remote_write_2_known_small",
        "leyline_known",
        "packets_known",
        "influx_known_10_fields",
        "graphite_known",
        "otlp_metrics_known",
        "otlp_logs",
        "exposition_known_10_targets",
        "statsd_known_20_lines",
        "columns_known_10_rounds",
    ),
    "passed on": ("sink_1_to_2.0", "sink_2_to_1.0"),
    "events written as lines": ("event_lines_plain", "event_lines_quotes", "event_lines_packets"),
    "labels hashed": ("remote_write_1_new_large", "series_restore_large"),
    "packets remembered and swept": ("ttl_turnover_million",),
    "windows folded": ("rollup_samples_10s", "rollup_windows_10s"),
    "sketches": ("sketch_add_typical", "sketch_merge_typical", "sketch_quantiles_typical"),
}
TIMED = {"timer": time.process_time, "warmup": True, "warmup_iterations": 1, "min_rounds": ROUNDS, "max_time": 0.5}
CASES = [
    pytest.param(name, id=name, marks=pytest.mark.benchmark(group=group, **TIMED))
    for group, names in KERNELS.items()
    for name in names
]


@pytest.mark.parametrize("name", CASES)
def test_kernel(name: str, benchmark: BenchmarkFixture) -> None:
    """A kernel does what its workload expects of it, however often it runs."""
    workload = WORKLOADS[name]()
    count = benchmark(workload.run)
    assert count == workload.count
    benchmark.extra_info["ns_each"] = round(benchmark.stats.stats.median / count * 1e9, 2)
