"""Nissa's telemetry as a frame."""

from prometheus_client import Counter, Gauge
from prometheus_client.registry import CollectorRegistry

from nissa._proto.remote_write_v1_pb2 import MetricMetadata, WriteRequest
from nissa.model.frame import Codec, Encoding, Source
from nissa.selfmetrics.self_frame import METADATA_EVERY, SelfFrames


def test_every_sample_at_one_moment() -> None:
    """A frame holds each series once, labels sorted, at the time given."""
    registry = CollectorRegistry()
    Gauge("level", "Level.", ["zone", "Area"], registry=registry).labels("z", "a").set(2.5)
    frame = SelfFrames(registry).frame(1_234)
    assert (frame.codec, frame.encoding, frame.source) == (Codec.REMOTE_WRITE_1, Encoding.IDENTITY, Source.SELF)
    assert frame.received_ms == 1_234
    (series,) = WriteRequest.FromString(frame.body).timeseries
    labels = [(label.name, label.value) for label in series.labels]
    assert labels == [("Area", "a"), ("__name__", "level"), ("job", "nissa"), ("zone", "z")]
    assert [(sample.value, sample.timestamp) for sample in series.samples] == [(2.5, 1_234)]


def test_metadata_now_and_then() -> None:
    """Types and help stand in the first frame and every METADATA_EVERY-th after it."""
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry)
    frames = SelfFrames(registry)
    described = [
        index for index in range(METADATA_EVERY + 2) if WriteRequest.FromString(frames.frame(index).body).metadata
    ]
    assert described == [0, METADATA_EVERY]
    (metadata,) = WriteRequest.FromString(SelfFrames(registry).frame(0).body).metadata
    assert (metadata.metric_family_name, metadata.help) == ("things_total", "Things.")
    assert metadata.type == MetricMetadata.COUNTER
