"""The exporters of OpenTelemetry's own SDK, over gRPC and over HTTP on a port of its own, with a kill in between."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from journeys.rig import Daemon, running
from journeys.test_otlp import a_request, value_of

from oracle.ports import free_port

grpc = pytest.importorskip("grpc", reason="grpcio is not installed: OTLP over gRPC is not tested")
for name in ("grpc", "http"):
    package = f"opentelemetry.exporter.otlp.proto.{name}"
    pytest.importorskip(package, reason=f"{package} is not installed: the SDK's exporter is not tested")

from opentelemetry._logs import SeverityNumber  # noqa: E402 - behind the check that it is there
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs  # noqa: E402
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics  # noqa: E402
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics  # noqa: E402
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse  # noqa: E402
from opentelemetry.sdk._logs import LoggerProvider  # noqa: E402
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor  # noqa: E402
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider  # noqa: E402
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402

DELTA = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}


class Sdk:
    """A program that sends one counter, one histogram and log records through one transport."""

    def __init__(self, transport: str, place: str, **options: Any) -> None:
        self.transport = transport
        resource = Resource.create({"service.name": "shop", "service.instance.id": transport})
        if transport == "grpc":
            metrics: Any = GrpcMetrics(place, insecure=True, **options)
            logs: Any = GrpcLogs(place, insecure=True)
        else:
            metrics, logs = HttpMetrics(f"{place}/v1/metrics", **options), HttpLogs(f"{place}/v1/logs")
        reader = PeriodicExportingMetricReader(metrics, export_interval_millis=3_600_000)
        self.meters = MeterProvider([reader], resource)
        meter = self.meters.get_meter("tests")
        self.counter, self.histogram = meter.create_counter("orders"), meter.create_histogram("wait", "s")
        self.logs = LoggerProvider(resource)
        self.logs.add_log_record_processor(SimpleLogRecordProcessor(logs))
        self.logger = self.logs.get_logger("tests")

    def send(self, orders: int) -> None:
        """Record orders of one second each, and a log record of them; all is durable when this returns."""
        self.counter.add(orders)
        for _ in range(orders):
            self.histogram.record(1.0)
        assert self.meters.force_flush(60_000)
        self.logger.emit(body=f"{orders} orders by {self.transport}", severity_number=SeverityNumber.ERROR)

    def close(self) -> None:
        self.meters.shutdown()
        self.logs.shutdown()


def test_exporters(tmp_path: Path) -> None:
    """Cumulative and delta counters, histograms and logs arrive exactly, also those sent after a kill."""
    ports = {"grpc": free_port(), "http": free_port()}
    environment = {
        "NISSA_SOURCES__OTLP__GRPC_LISTEN": json.dumps([f"127.0.0.1:{ports['grpc']}"]),
        "NISSA_SOURCES__OTLP__LISTEN": json.dumps([f"127.0.0.1:{ports['http']}"]),
    }
    senders = [
        Sdk("grpc", f"127.0.0.1:{ports['grpc']}", preferred_temporality=DELTA),
        Sdk("http", f"http://127.0.0.1:{ports['http']}"),
    ]
    with running(tmp_path / "data", environment=environment) as daemon:
        wait_up(daemon)
        for sender in senders:
            sender.send(3)
        daemon.kill()
    with running(tmp_path / "data", environment=environment) as daemon:
        wait_up(daemon)
        for sender in senders:
            sender.send(4)
        wanted = {"grpc": "7", "http": "7"}
        for query in ("orders_total", "wait_seconds_count", "wait_seconds_sum", 'wait_seconds_bucket{le="5"}'):
            assert value_of(daemon, query, "instance") == wanted, query
        events = daemon.get("/api/v1/events")["data"]["events"]
        texts = sorted((event["description"], event["level"], event["source"]) for event in events)
        assert texts == [(f"{n} orders by {each}", "error", "shop") for n in (3, 4) for each in ("grpc", "http")]
        faults(daemon, ports["grpc"])
        assert not any(daemon.unaccounted().values())
        for sender in senders:
            sender.close()


def faults(daemon: Daemon, port: int) -> None:
    """Wrong input over gRPC: statuses and partial successes as published."""
    service = "opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    now_ns = int(time.time()) * 10**9
    mixed = a_request(now_ns, {"/a": 1})
    points = mixed.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    points.add(time_unix_nano=1, as_int=1)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = channel.unary_unary(f"/{service}")(mixed.SerializeToString(), timeout=60)
        partial = ExportMetricsServiceResponse.FromString(answer).partial_success
        assert partial.rejected_data_points == 1
        assert "too_old: 1" in partial.error_message
        for path, body, code in (
            (service, b"\x0a\xff", grpc.StatusCode.INVALID_ARGUMENT),
            (service.replace("metrics", "trace").replace("Metrics", "Trace"), b"", grpc.StatusCode.UNIMPLEMENTED),
        ):
            with pytest.raises(grpc.RpcError) as fault:
                channel.unary_unary(f"/{path}")(body, timeout=60)
            assert fault.value.code() == code
    assert value_of(daemon, "http_requests_total") == {"/a": "1"}


def wait_up(daemon: Daemon) -> None:
    """Return once the gRPC server listens."""
    for _ in range(600):
        if daemon.get("/api/status")["sources"]["otlp"]["state"] == "up":
            return
        time.sleep(0.1)
    raise AssertionError(daemon.get("/api/status")["sources"])
