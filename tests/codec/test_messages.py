"""Messages by type name: what document 001 asks of encode_message and decode_message."""

import math

import pytest
import structlog

from nissa._proto import telemetry_pb2
from nissa.codec.messages import MESSAGE_TYPES, MessageCodec
from nissa.model.errors import Malformed

SAMPLES = {
    "telemetry_event": {
        "event_id": "evt-1",
        "description": "timeout_inference",
        "level": 2,
        "attributes": [{"name": "node", "value": "gpu-0"}],
        "timestamp_ms": 1_758_000_000_000,
    },
    "metric_point": {
        "name": "tolaria.training.loss",
        "labels": [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}],
        "type": 2,
        "value": 0.0,
        "unit": "loss",
        "epoch": 3,
        "request_id": "r-1",
    },
    "alert_notification": {
        "alert_id": "f00d",
        "name": "slow",
        "severity": 4,
        "value": 25.5,
        "routes": ["slack", "email"],
    },
    "control_command": {
        "command_id": "c-1",
        "command": "pause",
        "dry_run": True,
        "parameters": [{"name": "s", "value": "1"}],
    },
}


@pytest.mark.parametrize("message_type", MESSAGE_TYPES)
def test_what_is_encoded_is_decoded(message_type: str) -> None:
    """Every present field comes back with its value, a 0.0 too, and both operations are counted."""
    codec = MessageCodec()
    encoded = codec.encode_message(message_type, SAMPLES[message_type])
    assert codec.decode_message(message_type, encoded) == SAMPLES[message_type]
    assert (codec.encode_operations, codec.decode_operations, codec.validation_failures) == (1, 1, 0)


def test_unknown_type_is_a_value_error() -> None:
    """An unknown type is refused by name and counted as a failure, in both directions."""
    codec = MessageCodec()
    with pytest.raises(ValueError, match="Unknown message type: metric"):
        codec.encode_message("metric", {})
    with pytest.raises(ValueError, match="Unknown message type: metric"):
        codec.decode_message("metric", b"")
    assert (codec.encode_operations, codec.decode_operations, codec.validation_failures) == (0, 0, 2)


def test_unknown_field_is_warned_of_and_left_out() -> None:
    """A field the type does not have is named in a warning; the rest is encoded."""
    codec = MessageCodec()
    with structlog.testing.capture_logs() as logs:
        encoded = codec.encode_message("metric_point", {"name": "a", "bogus": 1})
    assert codec.decode_message("metric_point", encoded) == {"name": "a"}
    assert [(entry["log_level"], entry["field"]) for entry in logs] == [("warning", "bogus")]
    assert codec.validation_failures == 0


def test_value_that_does_not_fit_is_refused() -> None:
    """A value of the wrong kind raises and is counted."""
    codec = MessageCodec()
    with pytest.raises(TypeError):
        codec.encode_message("metric_point", {"name": 7})
    assert (codec.encode_operations, codec.validation_failures) == (0, 1)


def test_other_spelling_of_a_sound_message_passes_the_round_trip() -> None:
    """Fields in another order and a long varint are no failure, though their bytes differ once encoded again."""
    codec = MessageCodec()
    shuffled = b"\x38\x83\x00" + b"\x0a\x01a"  # epoch = 3 in two bytes, then name
    assert codec.decode_message("metric_point", shuffled) == {"name": "a", "epoch": 3}
    assert codec.validation_failures == 0


def test_many_labels_pass_the_round_trip() -> None:
    """Labels are no map: their order is on the wire, so that re-encoding never differs, however many there are."""
    codec = MessageCodec()
    point = telemetry_pb2.MetricPoint(name="a", value=math.nan)
    for number in range(32):
        point.labels.add(name=f"label{number}", value="x")
    codec.decode_message("metric_point", point.SerializeToString())
    assert (codec.decode_operations, codec.validation_failures) == (1, 0)


def test_what_is_not_understood_is_counted_and_never_refused() -> None:
    """A field of a later version fails the round trip: a counter and a warning, and the message all the same."""
    codec = MessageCodec()
    later = codec.encode_message("metric_point", {"name": "a"}) + b"\xf8\x07\x01"
    with structlog.testing.capture_logs() as logs:
        assert codec.decode_message("metric_point", later) == {"name": "a"}
    assert [entry["event"] for entry in logs] == ["message differs after encoding and decoding"]
    assert (codec.decode_operations, codec.validation_failures) == (1, 1)


@pytest.mark.parametrize("wrong", [b"\x0a\x05a", b"\x0a\x01\xff", b"\x07"])
def test_bytes_of_something_else_are_malformed(wrong: bytes) -> None:
    """Truncated bytes, text that is not UTF-8 and impossible tags raise Malformed and are counted."""
    codec = MessageCodec()
    with pytest.raises(Malformed):
        codec.decode_message("metric_point", wrong)
    assert (codec.decode_operations, codec.validation_failures) == (0, 1)
