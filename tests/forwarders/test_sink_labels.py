"""Labels as a sink gets them."""

import numpy as np

from nissa._fast.series import SeriesIndex
from nissa._proto.remote_write_v1_pb2 import TimeSeries, WriteRequest
from nissa.config.sinks import RemoteWriteSink
from nissa.forwarders.sink_labels import METRIC_TYPES, SinkLabels, SinkRules, metadata_fields, metric_type, proto_field
from nissa.model.columns import Metadata
from nissa.model.relabel import RelabelRule

MetricType = WriteRequest.DESCRIPTOR.file.message_types_by_name["MetricMetadata"].enum_types_by_name["MetricType"]


def test_types_have_the_numbers_of_the_protocol() -> None:
    """Each word is the one of the published enumeration."""
    numbers = {value.name.lower(): value.number for value in MetricType.values}
    assert {word: metric_type(word) for word in METRIC_TYPES} == numbers
    assert metric_type("anything") == 0


def test_metadata_is_read_back() -> None:
    """The protobuf classes read the metadata back, also long help texts."""
    about = [Metadata("a", "counter", "x" * 300, "bytes"), Metadata("b", "gauge", "", "")]
    request = WriteRequest.FromString(metadata_fields(about))
    assert [(one.metric_family_name, one.type, one.help, one.unit) for one in request.metadata] == [
        ("a", 1, "x" * 300, "bytes"),
        ("b", 2, "", ""),
    ]


def test_rules_are_applied_in_order() -> None:
    """Matchers see labels as received; external labels yield to those of a series, and relabelling sees them."""
    rules = SinkRules(
        RemoteWriteSink(
            matchers=('{job="a"}', "up"),
            external_labels={"cluster": "east", "zone": "1"},
            write_relabel_configs=(
                RelabelRule(source_labels=("cluster",), regex="west", action="drop"),
                RelabelRule(regex="zone", action="labeldrop"),
            ),
        )
    )
    assert rules.applied({"__name__": "x", "job": "a"}) == {"__name__": "x", "job": "a", "cluster": "east"}
    assert rules.applied({"__name__": "up"}) == {"__name__": "up", "cluster": "east"}
    assert rules.applied({"__name__": "x", "job": "b"}) is None
    assert rules.applied({"__name__": "up", "cluster": "west"}) is None
    assert (rules.none, SinkRules(RemoteWriteSink()).none) == (False, True)


def test_series_are_sorted_and_share_metadata_of_their_family() -> None:
    """Labels by name, whatever the order they were given in."""
    labels = SinkLabels(SeriesIndex(bytes(32)), SinkRules(RemoteWriteSink()), 2)
    changed = [Metadata("t", "histogram", "Time.", "seconds")]
    assert labels.note_metadata(changed) == changed
    assert labels.note_metadata(changed) == []
    labels.add(0, {"zone": "é", "__name__": "t_bucket", "a": "b"})
    assert labels.table.texts_of(0) == [b"__name__", b"t_bucket", b"a", b"b", b"zone", "é".encode()]
    one = np.zeros(1, np.uint32), np.ones(1, np.int64), np.ones(1)
    assert b"Time." in labels.table.body_2(*one).tobytes()


def test_fields_are_those_of_protobuf() -> None:
    """A length of one byte and of two."""
    for size in (0, 1, 127, 128, 300):
        series = TimeSeries()
        series.labels.add(name="n", value="v" * size)
        label = proto_field(1, b"n") + (proto_field(2, b"v" * size) if size else b"")
        assert proto_field(1, label) == series.SerializeToString()
