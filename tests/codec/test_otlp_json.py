"""OTLP in JSON: Google's JSON of a request gives the same request, rows and events."""

import base64
import random
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from nissa.codec.otlp import decode
from nissa.codec.otlp_json import protobuf_of
from nissa.model.decoded import Window
from nissa.model.errors import Malformed
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle import otlp, otlp_logs
from oracle.bodies import Rig

NOW_MS = otlp.NOW_NS // 10**6
CLASSES: tuple[Any, Any] = (ExportMetricsServiceRequest, ExportLogsServiceRequest)
NOT_READ = {"droppedAttributesCount"}


def json_of(message: Any) -> Any:
    """A request as OTLP has it in JSON: Google's form, ids in hex, without what no decoder reads."""

    def changed(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: changed(each, name) for name, each in value.items() if name not in NOT_READ}
        if isinstance(value, list):
            return [changed(each) for each in value]
        return base64.b64decode(value).hex() if key in ("traceId", "spanId") else value

    return changed(MessageToDict(message, use_integers_for_enums=True))


def taken(codec: Codec, body: bytes, window: Window | None = None) -> tuple[Rig, Any]:
    rig = Rig()
    frame = Frame(codec, Encoding.IDENTITY, Source.HTTP, NOW_MS, body)
    decoded = decode(frame, body, rig.index, rig.batch, window or Window(1, 1 << 40, -(2**63), 2**63 - 1))
    return rig, decoded


@pytest.mark.parametrize("of_logs", [False, True])
def test_requests(of_logs: bool) -> None:
    """Requests of any mixture come back from their JSON, whole."""
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print("seed", seed)
    for _ in range(300):
        request = (otlp_logs if of_logs else otlp).a_request(rng)
        for resource in request.resource_logs if of_logs else ():
            for record in (record for scope in resource.scope_logs for record in scope.log_records):
                record.ClearField("dropped_attributes_count")
                record.severity_number = max(record.severity_number, 0)
        found = CLASSES[of_logs].FromString(protobuf_of(orjson.dumps(json_of(request)), of_logs=of_logs))
        assert orjson.dumps(json_of(found)) == orjson.dumps(json_of(request))


def test_example_of_the_specification() -> None:
    """Integers as numbers or strings, unknown names and nulls; names in another spelling are unknown."""
    point: dict[str, Any] = {"timeUnixNano": str(otlp.NOW_NS), "asInt": 3, "attributes": None, "new": [{"x": 1}]}
    metric = {"name": "m", "sum": {"dataPoints": [point], "aggregationTemporality": 2, "is_monotonic": True}}
    request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}], "other": {}}
    rig, _ = taken(Codec.OTLP_METRICS_JSON, orjson.dumps(request))
    assert [value for _, _, value in rig.rows()] == [3.0]
    assert rig.labels() == [[("__name__", "m")]]
    point["timeUnixNano"], point["asInt"] = otlp.NOW_NS, "-3"
    rig, _ = taken(Codec.OTLP_METRICS_JSON, orjson.dumps(request))
    assert [value for _, _, value in rig.rows()] == [-3.0]
    record = {"traceId": "5B8EFFF798038103D269B633813FC60C", "severityNumber": 17, "body": {"stringValue": "x"}}
    _, found = taken(Codec.OTLP_LOGS_JSON, orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}))
    event = found.events.row(0)
    assert (event["level"], event["description"], event["time_ms"]) == (3, "x", NOW_MS)
    assert event["attributes"]["trace_id"] == "5b8efff798038103d269b633813fc60c"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b'{"resourceLogs":', "not JSON"),
        (b"[]", "the body: expected an object"),
        (b'{"resourceLogs":{}}', "resourceLogs: expected an array"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"soon"}]}]}]}',
         r"resourceLogs\[0\]\.scopeLogs\[0\]\.logRecords\[0\]\.timeUnixNano: expected fixed64, got 'soon'"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"xyz"}]}]}]}', "traceId: expected hex"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":"ERROR"}]}]}]}', "severityNumber"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"bytesValue":"~"}}]}]}]}', "expected base64"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"boolValue":1}}]}]}]}', "boolValue: expected bool"),
        (b'{"resourceLogs":[{"resource":{"attributes":[{"key":"k","value":{"stringValue":"a","intValue":1}}]}}]}',
         "twice"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + b'{"arrayValue":{"values":[' * 60 + b"]}}" * 60
         + b"}]}]}]}", "100 objects"),
    ],
)  # fmt: skip
def test_faults(body: bytes, message: str) -> None:
    """A fault is named by its path; no byte of a form is named that the sender has not seen."""
    with pytest.raises(Malformed, match=message) as fault:
        taken(Codec.OTLP_LOGS_JSON, body)
    assert fault.value.offset == -1


def test_damaged_requests() -> None:
    """Bytes changed, cut and put in: refused as malformed, or read."""
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print("seed", seed)
    outcomes = set()
    for _ in range(300):
        body = bytearray(orjson.dumps(json_of(otlp_logs.a_request(rng))))
        for _ in range(rng.randrange(1, 4)):
            body[rng.randrange(len(body))] = rng.choice(b'{}[]",:0a-1\xffn')
        try:
            taken(Codec.OTLP_LOGS_JSON, bytes(body))
            outcomes.add("read")
        except Malformed:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_refused_points_name_no_offset() -> None:
    """Examples of refused points have no byte offset either."""
    points = [{"timeUnixNano": "5000000", "asInt": 1}]
    body = orjson.dumps(
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": points}}]}]}]}
    )
    rig, _ = taken(Codec.OTLP_METRICS_JSON, body, Window(1, 1 << 40, NOW_MS, NOW_MS))
    assert (rig.batch.refused, rig.batch.examples["too_old"].offset) == ({"too_old": 1}, None)
    assert rig.batch.examples["too_old"].ts_ms == 5
