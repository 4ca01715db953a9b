"""OTLP to the running daemon, as SDKs send it, read back by PromQL and export after a kill."""

import contextlib
import gzip
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cramjam
from journeys.rig import Daemon, connect, running
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

PROTOBUF = "application/x-protobuf"
ENCODERS: dict[str, Any] = {"": bytes, "gzip": gzip.compress, "zstd": lambda body: bytes(cramjam.zstd.compress(body))}


def send(daemon: Daemon, body: bytes, path: str = "/v1/metrics", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one POST."""
    link = connect(daemon.ingest_url)
    with contextlib.closing(link):
        link.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = link.getresponse()
        return reply.status, dict(reply.headers), reply.read()


def a_request(now_ns: int, values: dict[str, int], **fields: Any) -> ExportMetricsServiceRequest:
    """A counter with a point for each route."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    for key, value in (("service.name", "shop"), ("service.instance.id", "i-1"), ("host.name", "web")):
        resource.resource.attributes.add(key=key).value.string_value = value
    metric = resource.scope_metrics.add().metrics.add(name="http.requests", unit="{request}", description="Served.")
    metric.sum.aggregation_temporality, metric.sum.is_monotonic = fields.get("temporality", 2), True
    for route, value in values.items():
        point = metric.sum.data_points.add(time_unix_nano=now_ns, as_int=value)
        point.attributes.add(key="http.route").value.string_value = route
    return request


def a_log_request(times_ns: list[int]) -> bytes:
    """A log record for each time."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_logs.add()
    for number, time_ns in enumerate(times_ns):
        record = scope.log_records.add(time_unix_nano=time_ns, severity_number=17, trace_id=bytes(range(16)))
        record.body.string_value = f"line {number}"
        record.attributes.add(key="n").value.int_value = number
    return request.SerializeToString()


def value_of(daemon: Daemon, query: str, label: str = "http_route") -> dict[str, str]:
    """Value by a label of an instant query."""
    found = daemon.get(f"/api/v1/query?query={quote(query)}")["data"]["result"]
    return {each["metric"].get(label, ""): each["value"][1] for each in found}


def test_points_are_read_back(tmp_path: Path) -> None:
    """Each encoding, on both paths; after kill -9 all of it is there, exactly, and accounted for."""
    now_ns = int(time.time()) * 10**9
    wanted = {}
    with running(tmp_path / "data") as daemon:
        for number, (encoding, encode) in enumerate(ENCODERS.items()):
            values = {f"/{number}/{place}": number * 100 + place for place in range(50)}
            headers = {"Content_Encoding": encoding} if encoding else {}
            path = ("/v1/metrics", "/api/v1/otlp/v1/metrics")[number % 2]
            body = encode(a_request(now_ns, values).SerializeToString())
            status, got, answer = send(daemon, body, path, Content_Type=PROTOBUF, **headers)
            assert (status, answer, got["Content-Type"]) == (200, b"", PROTOBUF)
            wanted |= {route: str(value) for route, value in values.items()}
        assert value_of(daemon, 'http_requests_total{job="shop",instance="i-1"}') == wanted
        for number, (encoding, encode) in enumerate(ENCODERS.items()):
            headers = {"Content_Encoding": encoding} if encoding else {}
            path = ("/api/v1/otlp/v1/logs", "/v1/logs")[number % 2]
            body = encode(a_log_request([now_ns + number * 10**6]))
            assert send(daemon, body, path, Content_Type=PROTOBUF, **headers)[::2] == (200, b"")
        daemon.kill()
    with running(tmp_path / "data") as daemon:
        assert value_of(daemon, "http_requests_total") == wanted
        assert value_of(daemon, "target_info", "host_name") == {"web": "1"}
        assert value_of(daemon, "http_requests_total * on (job, instance) group_left(host_name) target_info") == wanted
        metadata = daemon.get("/api/v1/metadata")["data"]["http_requests_total"]
        assert metadata == [{"type": "counter", "help": "Served.", "unit": ""}]
        counters = daemon.get("/api/v1/accounting")["data"]["sources"]["http/otlp_metrics"]
        assert (counters["stored"] + counters["duplicate"], counters["unaccounted"]) == (153, 0)
        events = daemon.get("/api/v1/events")["data"]["events"]
        assert {event["time_ms"] for event in events} == {now_ns // 10**6 + number for number in range(len(ENCODERS))}
        assert {(event["level"], event["source"], event["description"]) for event in events} == {
            ("error", "shop", "line 0")
        }
        assert {event["attributes"]["trace_id"] for event in events} == {bytes(range(16)).hex()}
        counters = daemon.get("/api/v1/accounting")["data"]["sources"]["http/otlp_logs"]
        assert (counters["stored"], counters["unaccounted"]) == (len(ENCODERS), 0)


def test_faults_are_told(tmp_path: Path) -> None:
    """Partial success has exact counts; a fault of a request is answered as a Status in its content type."""
    now_ns = int(time.time()) * 10**9
    with running(tmp_path / "data") as daemon:
        mixed = a_request(now_ns, {"/a": 1})
        metric = mixed.resource_metrics[0].scope_metrics[0].metrics[0]
        for old_ns in (1, 2, 3):
            metric.sum.data_points.add(time_unix_nano=old_ns * 10**9, as_int=1)
        status, headers, body = send(daemon, mixed.SerializeToString(), Content_Type=PROTOBUF)
        answer = ExportMetricsServiceResponse.FromString(body).partial_success
        assert (status, answer.rejected_data_points) == (200, 3)
        assert "too_old: 3 (setting: acceptance.past)" in answer.error_message
        unknown = a_request(now_ns, {"/a": 1, "/b": 2}, temporality=0).SerializeToString()
        body = send(daemon, unknown, Content_Type=PROTOBUF)[2]
        assert ExportMetricsServiceResponse.FromString(body).partial_success.rejected_data_points == 2
        assert value_of(daemon, "http_requests_total") == {"/a": "1"}
        status, headers, body = send(daemon, b"\x0a\xff", Content_Type=PROTOBUF)
        assert (status, headers["Content-Type"], body[:3]) == (400, PROTOBUF, b"\x08\x03\x12")
        assert send(daemon, b"", Content_Type=PROTOBUF)[::2] == (200, b"")
        assert send(daemon, b"", Content_Type="text/plain")[0] == 415
        status, headers, body = send(daemon, b"x", Content_Type=PROTOBUF, Content_Encoding="br")
        assert (status, headers["Content-Type"]) == (415, PROTOBUF)
        assert b"expected one of" in body
        logs = a_log_request([1, now_ns, 10**18 * 4])
        logs_answer = ExportLogsServiceResponse.FromString(send(daemon, logs, "/v1/logs", Content_Type=PROTOBUF)[2])
        assert logs_answer.partial_success.rejected_log_records == 2
        assert "setting: acceptance.past; events: acceptance.event_past" in logs_answer.partial_success.error_message
        sources = daemon.get("/api/v1/accounting")["data"]["sources"]
        assert (sources["http/otlp_logs"]["unaccounted"], sources["http/otlp_logs"]["stored"]) == (0, 1)
        assert sources["http/otlp_metrics"]["unaccounted"] == 0


def test_json(tmp_path: Path) -> None:
    """Metrics and logs in JSON, answered in JSON; faults are reported by their path."""
    now_ns = int(time.time()) * 10**9
    points = [{"timeUnixNano": str(ns), "asInt": "7"} for ns in (now_ns, 1)]
    scope = {"metrics": [{"name": "depth", "gauge": {"dataPoints": points}}]}
    record = {"timeUnixNano": str(now_ns), "severityNumber": 13, "traceId": "ab" * 16, "body": {"stringValue": "low"}}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    with running(tmp_path / "data") as daemon:
        body = json.dumps({"resourceMetrics": [{"scopeMetrics": [scope]}]}).encode()
        status, headers, answer = send(daemon, body, Content_Type="application/json; charset=utf-8")
        assert (status, headers["Content-Type"]) == (200, "application/json")
        partial = json.loads(answer)["partialSuccess"]
        assert partial["rejectedDataPoints"] == "1"
        assert "too_old: 1" in partial["errorMessage"]
        body = gzip.compress(json.dumps(logs).encode())
        answer = send(daemon, body, "/v1/logs", Content_Type="application/json", Content_Encoding="gzip")[2]
        assert answer == b"{}"
        daemon.kill()
    with running(tmp_path / "data") as daemon:
        assert value_of(daemon, "depth") == {"": "7"}
        (event,) = daemon.get("/api/v1/events")["data"]["events"]
        assert (event["level"], event["description"], event["attributes"]["trace_id"]) == ("warning", "low", "ab" * 16)
        status, headers, answer = send(daemon, b'{"resourceLogs":{}}', "/v1/logs", Content_Type="application/json")
        assert (status, headers["Content-Type"]) == (400, "application/json")
        assert json.loads(answer) == {"code": 3, "message": "resourceLogs: expected an array"}
        sources = daemon.get("/api/v1/accounting")["data"]["sources"]
        assert sources["http/otlp_metrics_json"]["unaccounted"] == sources["http/otlp_logs_json"]["unaccounted"] == 0
