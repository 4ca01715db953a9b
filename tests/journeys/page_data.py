"""Data that the journeys through the pages send: series by remote write, events and points as messages of nissa.v2."""

import urllib.request
from collections.abc import Iterable

import cramjam
from journeys.rig import HEADERS, Daemon

from nissa._proto import remote_write_v1_pb2 as pb
from nissa.codec.messages import MessageCodec

Written = tuple[dict[str, str], list[tuple[int, float]]]


def write_series(daemon: Daemon, written: Iterable[Written]) -> None:
    """Label sets with their samples: times in milliseconds, values."""
    request = pb.WriteRequest()
    for labels, samples in written:
        series = request.timeseries.add()
        for name in sorted(labels):
            series.labels.add(name=name, value=labels[name])
        for ts_ms, value in samples:
            series.samples.add(timestamp=ts_ms, value=value)
    body = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    urllib.request.urlopen(urllib.request.Request(f"{daemon.ingest_url}/api/v1/write", body, HEADERS)).close()


def send_message(daemon: Daemon, content: dict, kind: str, message: str) -> None:
    """One message of nissa.v2."""
    headers = {"Content-Type": f"application/x-protobuf; proto=nissa.v2.{message}"}
    body = MessageCodec().encode_message(kind, content)
    urllib.request.urlopen(urllib.request.Request(f"{daemon.ingest_url}/api/v1/telemetry", body, headers)).close()


def send_event(daemon: Daemon, event: dict) -> None:
    """One event."""
    send_message(daemon, event, "telemetry_event", "TelemetryEvent")


def send_point(daemon: Daemon, point: dict) -> None:
    """One metric point."""
    send_message(daemon, point, "metric_point", "MetricPoint")
