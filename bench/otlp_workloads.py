"""Workloads of OpenTelemetry's protocol: requests as its SDKs write them, one process each."""

import random

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bench.workloads import MINUTE, NEW_MAX, Workload, decode_into, new_index, take
from nissa._fast.batch import Batch
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.model.units import MINUTE_MS

METRICS, POINTS = 10, 10  # of one process
RECORDS = 500  # of one request
NS_PER_MS = 1_000_000


def otlp_metrics_known(processes: int = 100) -> Workload:
    """Numbers of known series, 100 a process: counters with a start, five attributes each; samples are counted."""
    rng = random.Random(1)
    index, batch = new_index(), Batch()
    frames = [_metrics_frame(rng, place) for place in range(processes)]
    take(frames, index, batch, NEW_MAX)  # the first time a row of 0 stands at each start
    count = processes * (METRICS * POINTS + 1)

    def run() -> int:
        rows = take(frames, index, batch, 0)
        assert rows == count, (rows, count)
        return rows

    return Workload("otlp_metrics_known", count, run)


def otlp_logs(requests: int = 20) -> Workload:
    """Log records of 400 B, 500 a request: decoded into columns of events; records are counted."""
    rng = random.Random(1)
    index, batch = new_index(), Batch()
    frames = [_logs_frame(rng) for _ in range(requests)]
    count = requests * RECORDS
    size = sum(len(frame.body) for frame in frames) / count
    assert 390 < size < 410, size

    def run() -> int:
        found = 0
        for frame in frames:
            events = decode_into(frame, index, batch, 0).events
            found += 0 if events is None else len(events)
        assert found == count, (found, count)
        return found

    return Workload("otlp_logs", count, run)


def _logs_frame(rng: random.Random) -> Frame:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    for key, value in {"service.name": "checkout", "service.instance.id": "627cc493", "host.name": "web-1"}.items():
        resource.resource.attributes.add(key=key).value.string_value = value
    scope = resource.scope_logs.add()
    scope.scope.name = "shop.payments"
    now_ns = MINUTE * MINUTE_MS * NS_PER_MS
    for number in range(RECORDS):
        record = scope.log_records.add(time_unix_nano=now_ns + number, observed_time_unix_nano=now_ns)
        record.severity_number, record.severity_text = rng.choice(((9, "INFO"), (13, "WARN"), (17, "ERROR")))
        record.trace_id, record.span_id = rng.randbytes(16), rng.randbytes(8)
        record.body.string_value = f"payment {number} of order {rng.randrange(10**6):06} ".ljust(204, "x")
        labels = {"code.file.path": "/srv/shop/payments/cards.py", "code.function.name": "charge"}
        for key, value in {**labels, "thread.name": "worker-7"}.items():
            record.attributes.add(key=key).value.string_value = value
        record.attributes.add(key="code.line.number").value.int_value = rng.randrange(128, 1000)
    return Frame(Codec.OTLP_LOGS, Encoding.IDENTITY, Source.HTTP, MINUTE * MINUTE_MS, request.SerializeToString())


def _metrics_frame(rng: random.Random, place: int) -> Frame:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    who = {
        "service.name": "checkout",
        "service.instance.id": f"627cc493-f310-47de-96bd-{place:012}",
        "host.name": f"web-{place}",
    }
    for key, value in {**who, "telemetry.sdk.language": "python"}.items():
        resource.resource.attributes.add(key=key).value.string_value = value
    scope = resource.scope_metrics.add()
    scope.scope.name = "opentelemetry.instrumentation.flask"
    now_ns = MINUTE * MINUTE_MS * NS_PER_MS
    for number in range(METRICS):
        metric = scope.metrics.add(
            name=f"http.server.requests.{number}", unit="{request}", description="Requests served."
        )
        metric.sum.aggregation_temporality, metric.sum.is_monotonic = 2, True
        for route in range(POINTS):
            point = metric.sum.data_points.add(time_unix_nano=now_ns, start_time_unix_nano=now_ns - 10**12)
            point.as_int = rng.randrange(10**6)
            labels = {"http.request.method": "POST", "url.scheme": "https", "http.route": f"/shop/{route}/cart"}
            for key, value in {**labels, "server.address": "shop.example.com"}.items():
                point.attributes.add(key=key).value.string_value = value
            point.attributes.add(key="http.response.status_code").value.int_value = 200 + route
    body = request.SerializeToString()
    return Frame(Codec.OTLP_METRICS, Encoding.IDENTITY, Source.HTTP, MINUTE * MINUTE_MS, body)
