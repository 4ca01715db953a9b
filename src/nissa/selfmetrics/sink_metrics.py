"""Metrics of sinks: facts of each sink in the status, with its name as label."""

from typing import Final

from nissa.model.units import SECOND_MS
from nissa.selfmetrics.metric import Kind, Metric


def _sink(name: str, kind: Kind, help: str, path: str, unit: str = "", scale: float = 1.0) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="sink", path=path, unit=unit, scale=scale, labels=("sink",))


SINKS: Final = (
    _sink(
        "nissa_sink_up",
        "gauge",
        "1 if the last request to the sink was answered and not all of it refused, else 0.",
        "up",
    ),
    _sink(
        "nissa_sink_failures_total",
        "counter",
        "Requests to the sink since start that were not answered, or answered with an error that is retried.",
        "failures",
    ),
    _sink("nissa_sink_requests_total", "counter", "Requests to the sink since start, retries included.", "requests"),
    _sink("nissa_sink_retries_total", "counter", "Requests to the sink since start that repeat one.", "retries"),
    _sink(
        "nissa_sink_sent_bytes_total",
        "counter",
        "Bytes of bodies that the sink has answered since start, compressed.",
        "sent_bytes",
    ),
    _sink(
        "nissa_sink_samples_total",
        "counter",
        "Samples, or events, read from the journal for the sink and done with: delivered, filtered or dead.",
        "samples",
    ),
    _sink(
        "nissa_sink_delivered_samples_total", "counter", "Samples, or events, that the sink has accepted.", "delivered"
    ),
    _sink(
        "nissa_sink_filtered_samples_total",
        "counter",
        "Samples, or events, that the settings of the sink leave out.",
        "filtered",
    ),
    Metric(
        name="nissa_sink_route_left_out_events_total",
        kind="counter",
        help="Events that a route keeps from the sink, those that it samples away included.",
        origin="sink",
        path="left_out",
        labels=("sink", "route"),
    ),
    _sink(
        "nissa_sink_dead_samples_total",
        "counter",
        "Samples, or events, that the sink refused, set aside as dead letters.",
        "dead",
    ),
    _sink(
        "nissa_sink_lost_frames_total",
        "counter",
        "Frames of the journal that the sink did not get: damaged, skipped, or given up because of a backlog limit.",
        "lost_frames",
    ),
    _sink(
        "nissa_sink_backlog_frames", "gauge", "Frames of the journal that the sink has yet to get.", "backlog_frames"
    ),
    _sink(
        "nissa_sink_backlog_bytes",
        "gauge",
        "Bytes of the journal that the sink has yet to get, approximately.",
        "backlog_bytes",
        unit="bytes",
    ),
    _sink(
        "nissa_sink_backlog_age_seconds",
        "gauge",
        "Time since the oldest frame was received that the sink has yet to get.",
        "backlog_age_ms",
        unit="seconds",
        scale=1 / SECOND_MS,
    ),
    _sink("nissa_sink_copied_files_total", "counter", "Files copied since start, of a sink of files.", "copied_files"),
    _sink("nissa_sink_dead_letters", "gauge", "Dead letters of the sink that are stored.", "dead_letters"),
    _sink(
        "nissa_sink_dead_letter_bytes",
        "gauge",
        "Size of the file of dead letters of the sink.",
        "dead_letter_bytes",
        unit="bytes",
    ),
    _sink(
        "nissa_sink_dead_letter_samples_dropped_total",
        "counter",
        "Samples, or events, in dead letters of the sink dropped since start because of a limit on size or age.",
        "dead_letter_samples_dropped",
    ),
)
