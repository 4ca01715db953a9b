"""Metrics of sources other than the ingest port: facts of each running source in the status, with its name as label."""

from typing import Final

from nissa.selfmetrics.metric import Kind, Metric


def _source(name: str, kind: Kind, help: str, path: str, unit: str = "", scale: float = 1.0) -> Metric:
    labels = ("source",)
    return Metric(name=name, kind=kind, help=help, origin="source", path=path, unit=unit, scale=scale, labels=labels)


SOURCES: Final = (
    _source(
        "nissa_source_up", "gauge", "1 while the source receives or is connected to the server it reads, else 0.", "up"
    ),
    _source(
        "nissa_source_failures_total",
        "counter",
        "Failures of a source since start; it is restarted after each. /api/status has the latest error.",
        "failures",
    ),
    _source("nissa_source_connections", "gauge", "Open connections of senders to a TCP source.", "connections"),
    _source(
        "nissa_source_connections_refused_total",
        "counter",
        "Connections to a TCP source refused because its connections_max was reached.",
        "connections_refused",
    ),
    _source(
        "nissa_source_long_lines_total",
        "counter",
        "Lines that a source skipped because they exceed its maximum line length.",
        "long_lines",
    ),
    _source(
        "nissa_source_buffered_bytes",
        "gauge",
        "Bytes that a source has received and not yet passed to the engine.",
        "buffered_bytes",
        unit="bytes",
    ),
    _source("nissa_source_targets", "gauge", "Targets that are scraped.", "targets"),
    _source("nissa_source_targets_up", "gauge", "Targets whose last scrape succeeded.", "targets_up"),
    _source("nissa_source_scrapes_total", "counter", "Scrapes since start.", "scrapes"),
    _source(
        "nissa_source_scrapes_failed_total",
        "counter",
        "Scrapes that failed since start; /api/v1/targets has the latest reason of each target.",
        "scrapes_failed",
    ),
    _source(
        "nissa_source_followed_bytes",
        "gauge",
        "Memory for the series of targets, which get staleness markers when they go away.",
        "followed_bytes",
        unit="bytes",
    ),
    _source(
        "nissa_source_not_followed_total",
        "counter",
        "Times the series of a target were more than that memory holds, so that they get no staleness markers.",
        "not_followed",
    ),
    _source(
        "nissa_source_discovery_failures_total",
        "counter",
        "Lists of targets that could not be had or read; /api/status has the latest reasons.",
        "discovery_failures",
    ),
    _source(
        "nissa_source_frames_refused_total",
        "counter",
        "Frames of a source that the engine refused as a whole; the log has the reason.",
        "frames_refused",
    ),
    _source("nissa_source_lines_total", "counter", "StatsD lines received, valid or not.", "lines"),
    _source(
        "nissa_source_lines_refused_total",
        "counter",
        "StatsD lines refused; /api/status has the reasons.",
        "lines_refused",
    ),
    _source("nissa_source_datagrams_total", "counter", "UDP datagrams that a source received.", "datagrams"),
    _source(
        "nissa_source_datagrams_dropped_total",
        "counter",
        "UDP datagrams dropped by the kernel because the receive buffer of the socket was full.",
        "datagrams_dropped",
    ),
    _source(
        "nissa_source_meters",
        "gauge",
        "StatsD meters in memory: distinct combinations of type, name and tags.",
        "meters",
    ),
    _source(
        "nissa_source_values_unsketched_total",
        "counter",
        "StatsD timer values and set members left out of quantiles and sets because a flush interval had too many.",
        "values_unsketched",
    ),
    _source(
        "nissa_source_events_dropped_total",
        "counter",
        "DogStatsD events dropped because the buffer for events was full before the flush.",
        "events_dropped",
    ),
    _source("nissa_source_groups", "gauge", "Groups of the Pushgateway API that are stored.", "groups"),
    _source(
        "nissa_source_groups_bytes",
        "gauge",
        "Bytes of all groups of the Pushgateway API; the limit is sources.push.total_size_max.",
        "groups_bytes",
        unit="bytes",
    ),
    _source("nissa_source_pushes_total", "counter", "Pushes and deletions of groups received.", "pushes"),
    _source(
        "nissa_source_pushes_refused_total",
        "counter",
        "Pushes refused because of their content or a limit on groups.",
        "pushes_refused",
    ),
)
