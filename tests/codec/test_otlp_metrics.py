"""OTLP metrics: compared with the twin on the classes of opentelemetry-proto, whole, rearranged and damaged."""

import random
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from nissa._fast.context import set_context
from nissa.codec.otlp import CODECS, decode
from nissa.model.decoded import NOTHING_ELSE, Window
from nissa.model.errors import Malformed, TooLarge
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle import otlp
from oracle.bodies import Rig
from oracle.fuzz_otlp import Harness
from oracle.otlp import NOW_NS, a_request
from oracle.wire import damage, rearrange

NOW_MS = NOW_NS // 10**6
OPEN = Window(1, 1 << 40, -(2**63), 2**63 - 1)
WINDOW = Window(1, 1 << 40, NOW_MS - 3_600_000, NOW_MS + 600_000)
GOLDEN = Path(__file__).parents[1] / "goldens" / "otlp-metrics.txtpb"


def request_of(text: str) -> bytes:
    """A request from the text form of protobuf."""
    return text_format.Parse(text, ExportMetricsServiceRequest()).SerializeToString()


def metric(data: str, head: str = 'name: "m"', resource: str = "", scope: str = "") -> bytes:
    """A request with one metric."""
    inner = f"scope_metrics {{ scope {{ {scope} }} metrics {{ {head} {data} }} }}"
    return request_of(f"resource_metrics {{ resource {{ {resource} }} {inner} }}")


def attribute(key: str, value: str) -> str:
    return f'attributes {{ key: "{key}" value {{ {value} }} }} '


def taken(rig: Rig, body: bytes, window: Window = OPEN) -> Any:
    frame = Frame(Codec.OTLP_METRICS, Encoding.IDENTITY, Source.HTTP, NOW_MS, body)
    return decode(frame, body, rig.index, rig.batch, window)


def series(rig: Rig) -> list[str]:
    """Each series of the index as a selector shows it."""
    out = []
    for labels in rig.labels():
        pairs = dict(labels)
        name = pairs.pop("__name__")
        out.append(name + "{" + ",".join(f'{key}="{value}"' for key, value in pairs.items()) + "}")
    return out


POINT = f"data_points {{ time_unix_nano: {NOW_NS} as_double: 1.5 }}"


@pytest.mark.parametrize(
    ("head", "data", "names"),
    [
        ('name: "cpu.usage" unit: "1"', f"gauge {{ {POINT} }}", ["cpu_usage_ratio{}"]),
        ('name: "a.b" unit: "By/s"', f"gauge {{ {POINT} }}", ["a_b_bytes_per_second{}"]),
        ('name: "jvm.cpu.time" unit: "s"', f"sum {{ aggregation_temporality: 2 is_monotonic: true {POINT} }}",
         ["jvm_cpu_time_seconds_total{}"]),
        ('name: "queue" unit: "{item}"', f"sum {{ aggregation_temporality: 2 {POINT} }}", ["queue{}"]),
        ('name: "1st"', f"gauge {{ {POINT} }}", ["_1st{}"]),
    ],
)  # fmt: skip
def test_names(head: str, data: str, names: list[str]) -> None:
    """Names and units are translated as Prometheus does by default."""
    rig = Rig()
    assert not taken(rig, metric(data, head)).refused
    assert series(rig) == names


def test_labels() -> None:
    """Attributes, scope and resource become labels; what a resource says beside who it is becomes target_info."""
    rig = Rig()
    who = attribute("service.name", 'string_value: "shop"') + attribute("service.namespace", 'string_value: "eu"')
    who += attribute("service.instance.id", 'string_value: "i-1"') + attribute("host.name", 'string_value: "web"')
    own = attribute("http.method", 'string_value: "GET"') + attribute("code", "int_value: 200")
    own += attribute("list", 'array_value { values { string_value: "a\\"b" } values { bool_value: true } }')
    data = f"gauge {{ data_points {{ time_unix_nano: {NOW_NS} as_int: 7 {own} }} }}"
    taken(rig, metric(data, resource=who, scope='name: "lib" version: "2"' + attribute("x", "double_value: 0.5")))
    point, target = series(rig)
    assert point == (
        'm{code="200",http_method="GET",instance="i-1",job="eu/shop",list="["a\\"b",true]",otel_scope_name="lib",'
        'otel_scope_version="2",otel_scope_x="0.5"}'
    )
    assert target == 'target_info{host_name="web",instance="i-1",job="eu/shop"}'
    assert (rig.batch.samples, len(rig.batch)) == (1, 2)


def test_histogram() -> None:
    """A histogram is buckets, sum and count, with a start row each; its metadata is of the family."""
    rig = Rig()
    data = f"""histogram {{ aggregation_temporality: 2 data_points {{ time_unix_nano: {NOW_NS}
        start_time_unix_nano: {NOW_NS - 10**9} count: 6 sum: 3.5
        bucket_counts: [1, 2, 3] explicit_bounds: [0.5, 10] }} }}"""
    found = taken(rig, metric(data, 'name: "wait" unit: "ms" description: "Waiting."'))
    assert [(note.name, note.type, note.help, note.unit) for note in found.metadata] == [
        ("wait_milliseconds", "histogram", "Waiting.", "milliseconds")
    ]
    assert [name.replace("wait_milliseconds", "W") for name in series(rig)] == [
        *("W_count{}", "W_sum{}", 'W_bucket{le="+Inf"}', 'W_bucket{le="0.5"}', 'W_bucket{le="10"}'),
    ]
    assert [value for _, ts_ms, value in rig.rows() if ts_ms == NOW_MS] == [6, 3.5, 6, 1, 3]
    assert [value for _, ts_ms, value in rig.rows() if ts_ms == NOW_MS - 1000] == [0.0] * 5


def test_exponential_histogram() -> None:
    """Buckets of an exponential histogram are brought to powers of 2, zeros to a bucket of their own."""
    rig = Rig()
    data = f"""exponential_histogram {{ aggregation_temporality: 2 data_points {{ time_unix_nano: {NOW_NS} count: 14
        scale: 1 zero_count: 2 positive {{ offset: -2 bucket_counts: [7, 1, 0, 4] }} }} }}"""
    taken(rig, metric(data))
    assert series(rig)[1:] == ['m_bucket{le="+Inf"}', *(f'm_bucket{{le="{le}"}}' for le in ("0", "0.5", "1", "2"))]
    assert [value for _, _, value in rig.rows()] == [14, 14, 2, 2, 10, 14]


def test_refusals() -> None:
    """Refusals count data points and name the place of the first; the other points are stored."""
    rig = Rig()
    bad = f"data_points {{ time_unix_nano: {NOW_NS} count: 1 bucket_counts: [1, 2] explicit_bounds: [1] }}"
    good = f"data_points {{ time_unix_nano: {NOW_NS} count: 3 bucket_counts: [1, 2] explicit_bounds: [1] }}"
    old = "data_points { time_unix_nano: 5000000 count: 3 bucket_counts: [1, 2] explicit_bounds: [1] }"
    taken(rig, metric(f"histogram {{ aggregation_temporality: 2 {bad} {good} {old} {bad} }}"), WINDOW)
    assert rig.batch.refused == {"histogram_invalid": 2, "too_old": 1}
    assert rig.batch.refused_rows == {"histogram_invalid": 2, "too_old": 3}
    assert rig.batch.samples == 1
    assert rig.batch.examples["too_old"].ts_ms == 5
    taken(rig, metric(f"histogram {{ {good} {good} }}"), WINDOW)
    assert rig.batch.refused == {"temporality_unsupported": 2}
    taken(rig, metric(f"sum {{ aggregation_temporality: 2 data_points {{ time_unix_nano: {NOW_NS} }} }}"), WINDOW)
    assert rig.batch.refused == {"record_malformed": 1}


def test_whole_or_not_at_all() -> None:
    """A data point some of whose series do not fit the limit of series is refused with all of them."""
    rig = Rig()
    data = f"""histogram {{ aggregation_temporality: 2 data_points {{ time_unix_nano: {NOW_NS} count: 3
        bucket_counts: [1, 2] explicit_bounds: [1] }} }}"""
    taken(rig, metric(data), Window(1, 2, OPEN.oldest_ms, OPEN.newest_ms))
    assert (len(rig.batch), rig.batch.refused, rig.batch.refused_rows) == (0, {"series_limit": 1}, {"series_limit": 3})
    assert rig.batch.rows_received == 3


def test_stale() -> None:
    """A point without a recorded value is the staleness marker of its series."""
    rig = Rig()
    taken(rig, metric(f"gauge {{ data_points {{ time_unix_nano: {NOW_NS} flags: 1 }} }}"))
    assert rig.batch.columns()[2].view("u8").tolist() == [0x7FF0000000000002]


def test_terms() -> None:
    """Labels of the context are added; an empty body brings nothing; a frame over a limit is refused whole."""
    assert Codec.OTLP_METRICS in CODECS
    rig = Rig()
    assert taken(rig, b"") is NOTHING_ELSE
    set_context(rig.batch, [("tenant", "t", "replace")])
    taken(rig, metric(f"gauge {{ {POINT} }}"))
    assert series(rig) == ['m{tenant="t"}']
    small = Rig(rows_max=2)
    with pytest.raises(TooLarge, match="frame_samples_max"):
        taken(small, metric(f"gauge {{ {POINT} {POINT} {POINT} }}"))
    for body in (b"\x0a", b"\x08\x01", b"\x0a\x02\x12\x05", b"\x0a\x06\x0a\x01\x08\x0a\x01\x08"):
        with pytest.raises(Malformed):
            taken(rig, body)


def test_golden() -> None:
    """A request as SDKs write it: every kind of data, twice."""
    body = text_format.Parse(GOLDEN.read_text(), ExportMetricsServiceRequest()).SerializeToString()
    harness = Harness()
    assert harness.compare(body) == ""
    assert (harness.batch.samples, harness.index.series_count) == (7, 22)


@given(st.integers(0, 2**64))
def test_made_up_requests(seed: int) -> None:
    """Requests of any mixture, in any order of fields, are decoded as by the twin."""
    rng = random.Random(seed)
    body = a_request(rng).SerializeToString()
    harness = Harness()
    assert harness.compare(body) == ""
    assert harness.compare(rearrange(ExportMetricsServiceRequest.DESCRIPTOR, body, rng)) == ""


def test_damaged_requests() -> None:
    """Bytes changed, cut and put in."""
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    print("seed", seed)
    harness = Harness()
    for _ in range(400):
        body = a_request(rng).SerializeToString()
        assert harness.compare(damage(body, a_request(rng).SerializeToString(), rng)) == ""


@pytest.mark.parametrize("unit", [*otlp.UNIT_NAMES, "_x", "x__", "/s", "/", "{a}", "a//b", "%%", "s/%"])
@pytest.mark.parametrize("kind", ["gauge", "sum"])
def test_units(unit: str, kind: str) -> None:
    """Any unit is put into the name as the twin has it."""
    more = "aggregation_temporality: 2 is_monotonic: true" if kind == "sum" else ""
    harness = Harness()
    for name in ("a.total.b", "seconds", "per_second.x", "ratio", "a%"):
        assert harness.compare(metric(f"{kind} {{ {more} {POINT} }}", f'name: "{name}" unit: "{unit}"')) == ""
