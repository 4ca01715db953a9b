"""Encodes Nissa's own metrics as a frame to ingest: remote write 1.0, not compressed.

    {__name__="nissa_head_samples", job="nissa"}  one sample at now_ms, one per series of the registry

    WriteRequest ── timeseries ┬─ labels            encoded once per series, then taken from a cache
                               └─ sample            value and time: 9 bytes and a varint

Frames are made every second also where nothing else arrives, so values are read as rows (``collector.py``) and written
behind their labels without an object per sample. Metadata (type, help, unit) is in the first frame and then in every
METADATA_EVERY-th: it never changes, and the journal stores what it is sent.
"""

from collections.abc import Callable, Iterable, Mapping
from struct import Struct
from typing import Final

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from nissa._proto.remote_write_v1_pb2 import Label, MetricMetadata, TimeSeries, WriteRequest
from nissa.model.frame import Codec, Encoding, Frame, Source
from nissa.selfmetrics.collector import Reading, family_of
from nissa.selfmetrics.metric import Metric

JOB: Final = "nissa"
METADATA_EVERY: Final = 300
LABELS_CACHED_MAX: Final = 20_000  # encoded; all are encoded again beyond it
_VALUE: Final = Struct("<Bd").pack
_VALUE_BYTES: Final = 9
_SAMPLE_HEAD_BYTES: Final = 2  # field and length
_VALUE_FIELD: Final = 0x09  # Sample.value: field 1, 64 bits
_TIMESTAMP_FIELD: Final = 0x10  # Sample.timestamp: field 2, varint
_SAMPLES_FIELD: Final = 0x12  # TimeSeries.samples: field 2, bytes
_TIMESERIES_FIELD: Final = 0x0A  # WriteRequest.timeseries: field 1, bytes

Key = tuple[str, tuple[str, ...]]  # name of a metric, values of its labels


def _no_readings() -> Iterable[Reading]:
    return ()


class SelfFrames:
    """Makes one frame per call of what ``registry`` holds at that moment."""

    def __init__(
        self,
        registry: Collector,
        readings: Callable[[], Iterable[Reading]] = _no_readings,
        described: Collector | None = None,
    ) -> None:
        """registry: collected as families. readings: further metrics, as rows. described: those whose metadata a frame
        has; ``registry`` where it is None.
        """
        self._registry = registry
        self._readings = readings
        self._described = described or registry
        self._made = 0
        self._sample_bytes = 0  # of the field that stands behind labels
        self._labels: dict[Key, bytes] = {}

    def frame(self, now_ms: int) -> Frame:
        """A frame of every sample, all at ``now_ms``, Unix milliseconds."""
        time = bytes((_TIMESTAMP_FIELD,)) + _varint(now_ms)
        self._make_room(_SAMPLE_HEAD_BYTES + _VALUE_BYTES + len(time))
        head = bytes((_SAMPLES_FIELD, _VALUE_BYTES + len(time)))
        parts: list[bytes] = []
        find = self._labels.get
        for metric, rows in self._readings():
            for values, number in rows:
                labels = find((metric.name, values)) or self._encode_row(metric, values, number)
                parts += (labels, head, _VALUE(_VALUE_FIELD, number), time)
        for family in self._registry.collect():
            for sample in family.samples:
                key = (sample.name, tuple(sample.labels.values()))
                labels = find(key) or self._encode(key, sample.name, sample.labels)
                parts += (labels, head, _VALUE(_VALUE_FIELD, sample.value), time)
        if self._made % METADATA_EVERY == 0:
            metadata = [_metadata(family) for family in self._described.collect()]
            parts.append(WriteRequest(metadata=metadata).SerializeToString())
        self._made += 1
        return Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.SELF, now_ms, b"".join(parts))

    def _make_room(self, sample_bytes: int) -> None:
        """Forget labels that stand before samples of another size, and all where there are too many."""
        if sample_bytes != self._sample_bytes or len(self._labels) > LABELS_CACHED_MAX:
            self._labels.clear()
            self._sample_bytes = sample_bytes

    def _encode_row(self, metric: Metric, values: tuple[str, ...], number: float) -> bytes:
        (sample,) = family_of(metric, [(values, number)]).samples
        return self._encode((metric.name, values), sample.name, sample.labels)

    def _encode(self, key: Key, name: str, labels: Mapping[str, str]) -> bytes:
        """Field, length and labels of a TimeSeries with one sample; found by ``key`` from now on."""
        pairs = sorted({"__name__": name, "job": JOB, **labels}.items())
        body = TimeSeries(labels=[Label(name=one, value=value) for one, value in pairs]).SerializeToString()
        size = _varint(len(body) + self._sample_bytes)
        return self._labels.setdefault(key, bytes((_TIMESERIES_FIELD,)) + size + body)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _metadata(family: Family) -> MetricMetadata:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    kind = family.type.upper()  # the names of the two enumerations agree but for their case
    return MetricMetadata(type=kind, metric_family_name=name, help=family.documentation, unit=family.unit)
