"""The workloads that are guarded against becoming slower, and a process that runs one of them on demand.

    PYTHONPATH=TREE:LIB python -P bench/guarded.py NAME     workloads of TREE on the modules of LIB
    "ready COUNT" or "absent"  ◄─  once it is set up; absent: TREE knows no such workload
    "go\\n"  ─►  "SECONDS"      ◄─  CPU time of one run

The file is run by its path, so that a base revision is asked in the words of this one, whatever it has itself.
"""

import sys
import time
from collections.abc import Callable

from bench import ladder_workloads, otlp_workloads, workloads
from bench.workloads import Workload

WORKLOADS: dict[str, Callable[[], Workload]] = {
    "remote_write_1_known_small": lambda: workloads.remote_write_known("small", 1),
    "remote_write_1_known_large": lambda: workloads.remote_write_known("large", 1),
    "remote_write_1_known_million": lambda: workloads.remote_write_known("million", 1),
    "remote_write_2_known_small": lambda: workloads.remote_write_known("small", 2),
    "remote_write_1_new_large": lambda: workloads.remote_write_new("large", 1),
    "leyline_known": lambda: workloads.leyline_known(32),
    "packets_known": lambda: workloads.packets_known(32),
    "influx_known_10_fields": lambda: workloads.influx_known(10),
    "graphite_known": workloads.graphite_known,
    "otlp_metrics_known": otlp_workloads.otlp_metrics_known,
    "otlp_logs": otlp_workloads.otlp_logs,
    "exposition_known_10_targets": lambda: workloads.exposition_known(10),
    "sink_1_to_2.0": lambda: _of_sinks(1, "2.0"),
    "sink_2_to_1.0": lambda: _of_sinks(2, "1.0"),
    "event_lines_plain": lambda: _of_events(""),
    "event_lines_quotes": lambda: _of_events(' "as said"'),
    "event_lines_packets": lambda: _of_events("", "packet-"),
    "statsd_known_20_lines": lambda: workloads.statsd_known(20),
    "columns_known_1_round": lambda: workloads.columns_known("small", 1),
    "columns_known_10_rounds": lambda: workloads.columns_known("small", 10),
    "series_restore_large": lambda: workloads.restored("large"),
    "series_filter_large": lambda: workloads.filtered("large"),
    "columns_sort_rounds_large": lambda: workloads.sorted_head("large", "rounds"),
    "columns_sort_shuffled_large": lambda: workloads.sorted_head("large", "shuffled"),
    "selection_select_large": lambda: workloads.selected("large"),
    "batch_append_million": lambda: workloads.appended("million"),
    "events_filtered": lambda: workloads.events_filtered(),  # noqa: PLW0108 - a base may lack it
    "rollup_samples_10s": lambda: ladder_workloads.folded_samples("10s"),
    "rollup_windows_10s": lambda: ladder_workloads.folded_windows("10s"),
    "ttl_turnover_million": lambda: workloads.ttl_turnover("million"),  # 100,000 packets
    "sketch_add_typical": lambda: ladder_workloads.added("typical"),
    "sketch_merge_typical": lambda: ladder_workloads.merged("typical"),
    "sketch_quantiles_typical": lambda: ladder_workloads.asked("typical"),
}


def _of_sinks(received: int, version: str) -> Workload:
    try:
        from bench.sink_workloads import sink_requests
    except ImportError as error:  # the base revision has no sinks
        raise AttributeError("sink_workloads") from error
    return sink_requests(received, version)


def _of_events(text: str, packet_id: str = "") -> Workload:
    try:
        from bench.sink_workloads import event_lines
    except ImportError as error:  # the base revision has no sinks of events
        raise AttributeError("sink_workloads") from error
    return event_lines(text, packet_id)


def serve(name: str) -> None:
    """Set the workload up, then run it once for every line of standard input."""
    try:
        workload = WORKLOADS[name]()
    except (AttributeError, TypeError):  # the base revision is older than the workload
        print("absent", flush=True)
        return
    workload.run()  # warm
    print(f"ready {workload.count}", flush=True)
    for _ in sys.stdin:
        before_s = time.process_time()
        count = workload.run()
        took_s = time.process_time() - before_s
        if count != workload.count:
            raise RuntimeError(f"{name}: {count}, expected {workload.count}")
        print(took_s, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
