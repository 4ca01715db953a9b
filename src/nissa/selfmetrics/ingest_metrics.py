"""Metrics of the ingest port, and of accounting: the counters of records by source."""

from typing import Final

from nissa.selfmetrics.metric import Kind, Metric


def _counters(name: str, kind: Kind, help: str, path: str) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="counters", path=path, labels=("source",))


def _cells(name: str, kind: Kind, help: str, path: str, unit: str = "", labels: tuple[str, ...] = ()) -> Metric:
    return Metric(name=name, kind=kind, help=help, origin="cells", path=path, unit=unit, labels=labels)


HTTP: Final = (
    Metric(
        name="nissa_ingest_latency_seconds",
        kind="histogram",
        help="Time from the last byte of an ingest request to its response, including the durable journal write.",
        origin="cells",
        path="latency",
        unit="seconds",
        aliases=("nissa.ingest.latency_ms",),
    ),
    _cells(
        "nissa_http_requests_total",
        "counter",
        "Responses sent by the ingest port, by path and status code.",
        "requests",
        labels=("path", "code"),
    ),
    _cells(
        "nissa_http_body_bytes_total",
        "counter",
        "Bytes of request bodies that the ingest port accepted, before decompression.",
        "body_bytes",
        "bytes",
    ),
    _cells("nissa_http_connections", "gauge", "Open connections to the ingest port.", "connections"),
    _cells(
        "nissa_http_connections_refused_total",
        "counter",
        "Connections to the ingest port refused because ingest.connections_max was reached or Nissa was stopping, and "
        "handshakes over ingest.tls.handshakes_max.",
        "connections_refused",
    ),
    _cells(
        "nissa_http_buffered_bytes",
        "gauge",
        "Bytes received of request bodies that are still incomplete, on the ingest port.",
        "buffered_bytes",
        "bytes",
    ),
    _cells(
        "nissa_http_timeouts_total",
        "counter",
        "Connections to the ingest port closed because they were idle or slow, by phase: header, body, idle or write.",
        "timeouts",
        labels=("phase",),
    ),
    _cells(
        "nissa_http_malformed_total",
        "counter",
        "Connections to the ingest port closed because the client did not send valid HTTP/1.1.",
        "malformed",
    ),
    _cells(
        "nissa_http_pauses_total",
        "counter",
        "Times the ingest port stopped reading from a connection because the engine was busy.",
        "pauses",
    ),
    _cells(
        "nissa_http_errors_total",
        "counter",
        "Requests to the ingest port that failed because of a bug in Nissa; please report.",
        "internal_errors",
    ),
)

ACCOUNTING: Final = (
    _counters(
        "nissa_ingest_frames_total", "counter", "Frames (request bodies or messages) received, by source.", "frames"
    ),
    _counters(
        "nissa_ingest_malformed_total",
        "counter",
        "Frames (request bodies or messages) refused as a whole because they could not be decoded, by source.",
        "malformed",
    ),
    _counters(
        "nissa_ingest_received_total", "counter", "Samples, histograms and events received, by source.", "received"
    ),
    Metric(
        name="nissa_ingest_samples_total",
        kind="counter",
        help="Samples, histograms and events accepted, by source and outcome: stored, or duplicate.",
        origin="counters",
        labels=("source", "outcome"),
    ),
    Metric(
        name="nissa_ingest_refused_total",
        kind="counter",
        help="Samples, histograms and events refused, by source and reason.",
        origin="counters",
        labels=("source", "reason"),
        aliases=("nissa.telemetry.dropped_total",),
    ),
    _counters(
        "nissa_ingest_conflicts_total",
        "counter",
        "Samples counted as duplicates although another value is stored for their series and time, by source.",
        "conflicts",
    ),
    _counters(
        "nissa_ingest_in_flight",
        "gauge",
        "Samples, histograms and events received and not yet counted as stored, duplicate or refused.",
        "in_flight",
    ),
    Metric(
        name="nissa_ingest_unaccounted",
        kind="gauge",
        help="Samples, histograms and events received that no other counter accounts for; 0 unless there is a bug.",
        origin="counters",
        path="unaccounted",
        labels=("source",),
        former="nissa_ingest_residue",
    ),
)
