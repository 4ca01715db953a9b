"""OTLP logs: compared with the twin on the classes of opentelemetry-proto, whole, rearranged and damaged."""

import random
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from nissa.codec.otlp import CODECS, decode
from nissa.model.decoded import Window
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.bodies import Rig
from oracle.fuzz_otlp_logs import Harness
from oracle.otlp import NOW_NS
from oracle.otlp_logs import a_request
from oracle.wire import damage, rearrange

NOW_MS = NOW_NS // 10**6
OPEN = Window(1, 1 << 40, -(2**63), 2**63 - 1)
GOLDEN = Path(__file__).parents[1] / "goldens" / "otlp-logs.txtpb"


def request_of(text: str) -> bytes:
    return text_format.Parse(text, ExportLogsServiceRequest()).SerializeToString()


def records(*texts: str) -> bytes:
    """A request with these log records."""
    inner = " ".join(f"log_records {{ {each} }}" for each in texts)
    return request_of(f"resource_logs {{ scope_logs {{ {inner} }} }}")


def taken(rig: Rig, body: bytes) -> Any:
    """Events of a body."""
    frame = Frame(Codec.OTLP_LOGS, Encoding.IDENTITY, Source.HTTP, NOW_MS, body)
    return decode(frame, body, rig.index, rig.batch, OPEN).events


def test_golden() -> None:
    """Records as SDKs and collectors write them become events, with what stands around them."""
    body = request_of(GOLDEN.read_text())
    harness = Harness()
    assert harness.compare(body) == ""
    assert Codec.OTLP_LOGS in CODECS
    events = taken(Rig(), body)
    around = {
        "service.name": "checkout",
        "service.namespace": "shop",
        "process.command_args": '["python","-m"]',
        "otel.scope.name": "shop.payments",
        "otel.scope.version": "1.4.0",
    }
    assert events.row(0) == {
        "time_ms": 1758000000123,
        "level": 3,
        "source": "shop/checkout",
        "event_id": "",
        "description": "payment refused: card expired",
        "packet_id": "",
        "attributes": {
            **around,
            "order.id": "71",
            "severity_number": "17",
            "severity_text": "ERROR",
            "trace_id": "5b8efff798038103d269b633813fc60c",
            "span_id": "eee19b7ec3c1b174",
        },
    }
    second, third = events.row(1), events.row(2)
    assert (second["time_ms"], second["level"]) == (1758000001000, 1)
    assert second["description"] == '{"user":"ü","tries":3,"raw":"AP8="}'
    assert second["attributes"] == {**around, "severity_number": "5", "event_name": "user.login"}
    assert (third["time_ms"], third["level"], third["description"], third["source"]) == (NOW_MS, 0, "", "")


@pytest.mark.parametrize(
    ("severity", "level"), [(0, 0), (1, 1), (12, 1), (13, 2), (16, 2), (17, 3), (20, 3), (21, 4), (24, 4), (25, 0)]
)
def test_levels(severity: int, level: int) -> None:
    """Severity numbers become levels; other numbers become no level."""
    assert taken(Rig(), records(f"severity_number: {severity}")).level.tolist() == [level]


def test_faults() -> None:
    """A record at fault is refused by itself; what surrounds records refuses the body."""
    rig = Rig()
    sound = request_of('resource_logs { scope_logs { log_records { body { string_value: "xyz" } } } }')
    assert len(taken(rig, sound)) == 1
    assert taken(rig, sound.replace(b"xyz", b"x\xffz")) is None
    assert (rig.batch.refused, rig.batch.refused_rows) == ({"text_not_utf8": 1}, {"text_not_utf8": 1})
    deep = 'string_value: "x"'
    for _ in range(40):
        deep = f"array_value {{ values {{ {deep} }} }}"
    assert len(taken(rig, records(f"body {{ {deep} }}", "severity_number: 9"))) == 1
    assert rig.batch.refused == {"record_malformed": 1}
    for body in (b"\x0a", b"\x08\x01", b"\x0a\x02\x12\x05", b"\x0a\x06\x0a\x01\x08\x0a\x01\x08"):
        with pytest.raises(Malformed):
            taken(rig, body)


def test_limits() -> None:
    """Too many records, attributes of one resource, or attributes of all records: refused whole, naming the setting."""
    with pytest.raises(TooLarge, match=r"events.*frame_series_max"):
        taken(Rig(records_max=2), records("", "", ""))
    many = 'attributes { key: "k" } ' * 1025
    with pytest.raises(TooLarge, match="attributes of a resource and scope"):
        taken(Rig(), request_of(f"resource_logs {{ resource {{ {many} }} scope_logs {{ log_records {{ }} }} }}"))
    with pytest.raises(TooLarge, match=r"attributes of log records.*frame_samples_max"):
        taken(Rig(rows_max=3), records('attributes { key: "a" } ' * 2, 'attributes { key: "a" } ' * 2))


@given(st.integers(0, 2**64))
def test_made_up_requests(seed: int) -> None:
    """Requests of any mixture, in any order of fields, are decoded as by the twin."""
    rng = random.Random(seed)
    body = a_request(rng).SerializeToString()
    harness = Harness()
    assert harness.compare(body) == ""
    assert harness.compare(rearrange(ExportLogsServiceRequest.DESCRIPTOR, body, rng)) == ""


def test_damaged_requests() -> None:
    """Bytes changed, cut and put in."""
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print("seed", seed)
    harness = Harness()
    for _ in range(400):
        body = a_request(rng).SerializeToString()
        assert harness.compare(damage(body, a_request(rng).SerializeToString(), rng)) == ""
