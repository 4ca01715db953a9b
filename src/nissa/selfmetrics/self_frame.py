"""Nissa's telemetry about itself as a frame, to be ingested like anybody's: remote write 1.0, not compressed.

    {__name__="nissa_head_samples", job="nissa"}  one sample at now_ms, one per series of the registry

Metadata (type, help, unit) stands in the first frame and then in every METADATA_EVERY-th: it never changes, and the
journal keeps what it is sent.
"""

from typing import Final

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from nissa._proto.remote_write_v1_pb2 import MetricMetadata, WriteRequest
from nissa.model.frame import Codec, Encoding, Frame, Source

JOB: Final = "nissa"
METADATA_EVERY: Final = 300


class SelfFrames:
    """Makes one frame per call of what ``registry`` holds at that moment."""

    def __init__(self, registry: Collector) -> None:
        self._registry = registry
        self._made = 0

    def frame(self, now_ms: int) -> Frame:
        """A frame of every sample, all at ``now_ms``."""
        request = WriteRequest()
        described = self._made % METADATA_EVERY == 0
        for family in self._registry.collect():
            for sample in family.samples:
                series = request.timeseries.add()
                labels = {"__name__": sample.name, "job": JOB, **sample.labels}
                for name, value in sorted(labels.items()):
                    series.labels.add(name=name, value=value)
                series.samples.add(value=sample.value, timestamp=now_ms)
            if described:
                request.metadata.append(_metadata(family))
        self._made += 1
        return Frame(Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.SELF, now_ms, request.SerializeToString())


def _metadata(family: Family) -> MetricMetadata:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    kind = family.type.upper()  # the names of the two enumerations agree but for their case
    return MetricMetadata(type=kind, metric_family_name=name, help=family.documentation, unit=family.unit)
