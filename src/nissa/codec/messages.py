"""Messages of nissa.v2 by type name: a dictionary to bytes and back (document 001, "Protocol Buffer v2 Integration").

    telemetry_event      nissa.v2.TelemetryEvent
    metric_point         nissa.v2.MetricPoint
    alert_notification   nissa.v2.AlertNotification
    control_command      nissa.v2.ControlCommand

The document re-encodes every message and compares the bytes. Protobuf promises no canonical form, so plain bytes differ
for sound messages (fields in another order, a varint longer than it need be). Here both sides are encoded
deterministically; a difference then means that something was not understood: a field, or the number of an enum, that
this version does not know. This is counted and logged as a warning; the message is accepted.

This is the slow path, on Google's classes; the hot decoders are ``packets.py``.
"""

from collections.abc import Mapping
from typing import Any, Final

import structlog

from nissa.model.errors import Malformed

_log = structlog.get_logger(__name__)

MESSAGE_TYPES: Final = ("telemetry_event", "metric_point", "alert_notification", "control_command")


class MessageCodec:
    """Encodes and decodes by type name, and counts what it did.

    encode_operations, decode_operations: messages done. validation_failures: messages refused, and messages done whose
    re-encoding differs.
    """

    def __init__(self) -> None:
        # Loaded with the first codec: Google's runtime costs 30 ms that a daemon should not pay before it is ready.
        from nissa._proto import control_pb2, telemetry_pb2

        self._classes: dict[str, Any] = {
            "telemetry_event": telemetry_pb2.TelemetryEvent,
            "metric_point": telemetry_pb2.MetricPoint,
            "alert_notification": control_pb2.AlertNotification,
            "control_command": control_pb2.ControlCommand,
        }
        self.encode_operations = 0
        self.decode_operations = 0
        self.validation_failures = 0

    def encode_message(self, message_type: str, data: Mapping[str, Any]) -> bytes:
        """The message of that type with the fields of ``data``; nested messages are dictionaries, repeated ones lists.

        A field the type does not have is warned of and left out; so is None.
        Raises: ValueError for an unknown type, TypeError or ValueError for a value that does not fit its field.
        """
        try:
            message = self._class_of(message_type)()
            _fill(message, data, message_type)
        except Exception:  # every refusal is counted, and raised again
            self.validation_failures += 1
            raise
        encoded: bytes = message.SerializeToString(deterministic=True)
        self._check_round_trip(message_type, type(message).FromString(encoded), encoded)
        self.encode_operations += 1
        return encoded

    def decode_message(self, message_type: str, encoded_data: bytes) -> dict[str, Any]:
        """The fields present in the message, by name; nested messages as dictionaries. An absent field has no key.

        Raises: ValueError for an unknown type, Malformed for bytes that are not of it.
        """
        try:
            message_class = self._class_of(message_type)
            message = _parse(message_class, encoded_data)
            result = _fields(message)
        except Exception:  # every refusal is counted, and raised again
            self.validation_failures += 1
            raise
        self._check_round_trip(
            message_type, _known(message_class, message), message.SerializeToString(deterministic=True)
        )
        self.decode_operations += 1
        return result

    def _class_of(self, message_type: str) -> Any:
        try:
            return self._classes[message_type]
        except KeyError:
            expected = ", ".join(MESSAGE_TYPES)
            raise ValueError(f"Unknown message type: {message_type}; expected one of {expected}") from None

    def _check_round_trip(self, message_type: str, again: Any, expected: bytes) -> None:
        """``again`` is the message made anew; ``expected`` the deterministic encoding it should have."""
        if again.SerializeToString(deterministic=True) != expected:
            self.validation_failures += 1
            _log.warning(
                "message differs after encoding and decoding", message_type=message_type, size_bytes=len(expected)
            )


def _fill(message: Any, data: Mapping[str, Any], message_type: str) -> None:
    """Set the fields of ``message`` from a dictionary."""
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in data.items():
        field = fields.get(name)
        if field is None:
            _log.warning("unknown field of a message ignored", field=name, message_type=message_type)
        elif value is None:
            continue
        elif hasattr(getattr(message, name), "add"):
            for item in value:
                _fill(getattr(message, name).add(), item, message_type)
        elif hasattr(getattr(message, name), "extend"):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)


def _parse(message_class: Any, encoded_data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return message_class.FromString(bytes(encoded_data))
    except DecodeError as error:
        raise Malformed(f"not a {message_class.DESCRIPTOR.full_name}: {error}") from error


def _fields(message: Any) -> dict[str, Any]:
    """Present fields by name. Text that is not UTF-8, which proto2 lets through as bytes, is malformed."""
    result: dict[str, Any] = {}
    for field, value in message.ListFields():
        if hasattr(value, "extend"):
            result[field.name] = [_plain(item, field.name) for item in value]
        else:
            result[field.name] = _plain(value, field.name)
    return result


def _plain(value: Any, name: str) -> Any:
    if hasattr(value, "ListFields"):
        return _fields(value)
    if isinstance(value, bytes):  # no message here has a bytes field
        raise Malformed(f"the string {name} is not UTF-8")
    return value


def _known(message_class: Any, message: Any) -> Any:
    """A copy made of the known fields only."""
    copy = message_class()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    return copy
