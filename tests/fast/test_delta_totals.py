"""Sums and histograms of delta temporality are stored as they add up."""

from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from nissa._fast.delta_totals import DeltaTotals
from nissa.codec.otlp import decode
from nissa.model.decoded import Window
from nissa.model.frame import Codec, Encoding, Frame, Source
from oracle.bodies import Rig
from oracle.otlp import NOW_NS

NOW_MS = NOW_NS // 10**6
SECOND_NS = 10**9


class Sender:
    """A decoder with its totals. Seconds count from NOW_MS."""

    def __init__(self, series_max: int = 1_000, ttl_minutes: int = 60) -> None:
        self.rig, self.minute = Rig(), 100
        self.totals = DeltaTotals(series_max, ttl_minutes)

    def send(self, kind: str, *points: dict[str, Any], monotonic: bool = True, temporality: int = 1) -> Any:
        """Rows of one metric as (part, second, value); a time one millisecond behind a second is .001."""
        request = ExportMetricsServiceRequest()
        data = getattr(request.resource_metrics.add().scope_metrics.add().metrics.add(name="m"), kind)
        data.aggregation_temporality = temporality
        if kind == "sum":
            data.is_monotonic = monotonic
        for point in points:
            added = data.data_points.add(time_unix_nano=NOW_NS + int(point.pop("at") * SECOND_NS))
            if "start" in point:
                added.start_time_unix_nano = NOW_NS + int(point.pop("start") * SECOND_NS)
            if (key := point.pop("key", None)) is not None:
                added.attributes.add(key="k").value.string_value = key
            for name, value in point.items():
                if isinstance(value, list):
                    getattr(added, name).extend(value)
                else:
                    setattr(added, name, value)
        body = request.SerializeToString()
        frame = Frame(Codec.OTLP_METRICS, Encoding.IDENTITY, Source.HTTP, NOW_MS, body)
        decode(frame, body, self.rig.index, self.rig.batch, Window(self.minute, 1 << 30, 0, 2**63 - 1, self.totals))
        columns = zip(*(column.tolist() for column in self.rig.batch.columns()), strict=True)
        return [
            (part_of(self.rig.index.labels(series)), round((ts_ms - NOW_MS) / 1000, 3), value)
            for series, ts_ms, value in columns
        ]


def part_of(labels: Any) -> str:
    pairs = dict(labels)
    return pairs["__name__"].removeprefix("m").removeprefix("_total") + pairs.get("le", "") + pairs.get("k", "")


def test_sums() -> None:
    """Differences add up; the first row is a 0 behind the start, and none follows while the total lives."""
    sender = Sender()
    assert sender.send("sum", {"at": 10, "start": 0, "as_int": 3}) == [("", 10, 3), ("", 0.001, 0)]
    assert sender.send("sum", {"at": 20, "start": 10, "as_int": 2}, {"at": 30, "as_double": 0.5}) == [
        *(("", 20, 5), ("", 30, 5.5)),
    ]
    assert sender.send("sum", {"at": 30, "as_int": 2}, {"at": 25, "as_int": 2}, {"at": 40, "as_int": -1}) == []
    assert sender.rig.batch.refused == {"temporality_unsupported": 3}
    assert sender.rig.batch.refused_rows == {"temporality_unsupported": 3}
    assert sender.send("sum", {"at": 50, "as_int": 1}) == [("", 50, 6.5)]
    assert sender.send("sum", {"at": 60, "as_double": float("nan")}, {"at": 61, "flags": 1})[0][:2] == ("", 61)
    assert sender.send("sum", {"at": 70, "as_int": 1}) == [("", 70, 7.5)]


def test_up_and_down() -> None:
    """A sum that is not monotonic may fall, and has no row of 0."""
    sender = Sender()
    assert sender.send("sum", {"at": 1, "start": 0, "as_int": 3}, monotonic=False) == [("", 1, 3)]
    assert sender.send("sum", {"at": 2, "as_int": -5}, monotonic=False) == [("", 2, -2)]


def test_histograms() -> None:
    """Each series of a histogram adds up. A bound that is new lets all of them begin anew, so that buckets fit."""
    sender = Sender()
    point = {"count": 3, "sum": 1.5, "bucket_counts": [1, 2], "explicit_bounds": [1]}
    first = sender.send("histogram", {**point, "at": 10})
    assert first[:4] == [("_count", 10, 3), ("_sum", 10, 1.5), ("_bucket+Inf", 10, 3), ("_bucket1", 10, 1)]
    assert [(at, value) for _, at, value in first[4:]] == [(9.999, 0)] * 4
    assert [value for _, _, value in sender.send("histogram", {**point, "at": 20})] == [6, 3, 6, 2]
    other = {"count": 1, "sum": 1, "bucket_counts": [1, 0, 0], "explicit_bounds": [0.5, 1], "at": 30, "start": 20}
    rows = sender.send("histogram", other)
    assert [value for _, _, value in rows] == [1, 1, 1, 1, 1] + [0] * 5
    assert {at for _, at, _ in rows[5:]} == {20.001}
    assert sender.send("exponential_histogram", {"at": 40, "count": 1, "zero_count": 1}) == []
    assert sender.rig.batch.refused == {"temporality_unsupported": 1}


def test_totals_expire() -> None:
    """A series without a difference for the time to live begins anew, with its 0."""
    sender = Sender(ttl_minutes=5)
    sender.send("sum", {"at": 10, "as_int": 3})
    sender.minute += 5
    assert sender.send("sum", {"at": 20, "as_int": 3}) == [("", 20, 6)]
    sender.minute += 6
    assert sender.send("sum", {"at": 30, "start": 20, "as_int": 4}) == [("", 30, 4), ("", 20.001, 0)]


def test_the_limit() -> None:
    """Over the limit of totals, expired ones are dropped first, then all of them."""
    sender = Sender(series_max=2)
    sender.send("sum", {"at": 10, "key": "a", "as_int": 1})
    sender.minute += 61
    sender.send("sum", {"at": 11, "key": "b", "as_int": 1}, {"at": 11, "key": "c", "as_int": 1})
    assert (len(sender.totals), sender.totals.resets) == (2, 0)
    rows = sender.send("sum", {"at": 12, "key": "d", "as_int": 1}, {"at": 12, "key": "b", "start": 11, "as_int": 7})
    assert (len(sender.totals), sender.totals.resets) == (2, 1)
    assert rows == [("d", 12, 1), ("b", 12, 7), ("d", 11.999, 0), ("b", 11.001, 0)]


def test_columns_restore_the_state() -> None:
    """Totals that are written and read again go on where they were."""
    sender, other = Sender(), Sender()
    for each in (sender, other):
        each.send("sum", {"at": 10, "key": "a", "as_int": 1}, {"at": 10, "key": "b", "as_int": 2})
    sender.totals = DeltaTotals()
    sender.totals.restore(*other.totals.columns())
    for each in (sender, other):
        assert each.send("sum", {"at": 20, "key": "b", "as_int": 2}, {"at": 20, "key": "a", "as_int": 2}) == [
            *(("b", 20, 4), ("a", 20, 3)),
        ]
    sender.totals.forget()
    assert sender.send("sum", {"at": 30, "start": 20, "key": "a", "as_int": 2})[0] == ("a", 30, 2)
