from nissa._proto import telemetry_pb2 as _telemetry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AlertSeverity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_SEVERITY_UNSPECIFIED: _ClassVar[AlertSeverity]
    ALERT_SEVERITY_INFO: _ClassVar[AlertSeverity]
    ALERT_SEVERITY_WARNING: _ClassVar[AlertSeverity]
    ALERT_SEVERITY_ERROR: _ClassVar[AlertSeverity]
    ALERT_SEVERITY_CRITICAL: _ClassVar[AlertSeverity]

class AlertState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_STATE_UNSPECIFIED: _ClassVar[AlertState]
    ALERT_STATE_PENDING: _ClassVar[AlertState]
    ALERT_STATE_FIRING: _ClassVar[AlertState]
    ALERT_STATE_RESOLVED: _ClassVar[AlertState]
ALERT_SEVERITY_UNSPECIFIED: AlertSeverity
ALERT_SEVERITY_INFO: AlertSeverity
ALERT_SEVERITY_WARNING: AlertSeverity
ALERT_SEVERITY_ERROR: AlertSeverity
ALERT_SEVERITY_CRITICAL: AlertSeverity
ALERT_STATE_UNSPECIFIED: AlertState
ALERT_STATE_PENDING: AlertState
ALERT_STATE_FIRING: AlertState
ALERT_STATE_RESOLVED: AlertState

class AlertNotification(_message.Message):
    __slots__ = ("alert_id", "name", "severity", "state", "summary", "source", "value", "threshold", "labels", "annotations", "timestamp_ms", "starts_at_ms", "ends_at_ms", "routes", "epoch", "request_id")
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    STARTS_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    alert_id: str
    name: str
    severity: AlertSeverity
    state: AlertState
    summary: str
    source: str
    value: float
    threshold: float
    labels: _containers.RepeatedCompositeFieldContainer[_telemetry_pb2.Label]
    annotations: _containers.RepeatedCompositeFieldContainer[_telemetry_pb2.Label]
    timestamp_ms: int
    starts_at_ms: int
    ends_at_ms: int
    routes: _containers.RepeatedScalarFieldContainer[str]
    epoch: int
    request_id: str
    def __init__(self, alert_id: _Optional[str] = ..., name: _Optional[str] = ..., severity: _Optional[_Union[AlertSeverity, str]] = ..., state: _Optional[_Union[AlertState, str]] = ..., summary: _Optional[str] = ..., source: _Optional[str] = ..., value: _Optional[float] = ..., threshold: _Optional[float] = ..., labels: _Optional[_Iterable[_Union[_telemetry_pb2.Label, _Mapping]]] = ..., annotations: _Optional[_Iterable[_Union[_telemetry_pb2.Label, _Mapping]]] = ..., timestamp_ms: _Optional[int] = ..., starts_at_ms: _Optional[int] = ..., ends_at_ms: _Optional[int] = ..., routes: _Optional[_Iterable[str]] = ..., epoch: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class ControlCommand(_message.Message):
    __slots__ = ("command_id", "command", "target", "parameters", "issued_by", "reason", "issued_at_ms", "deadline_ms", "dry_run", "priority", "epoch", "request_id")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    ISSUED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    command: str
    target: str
    parameters: _containers.RepeatedCompositeFieldContainer[_telemetry_pb2.Label]
    issued_by: str
    reason: str
    issued_at_ms: int
    deadline_ms: int
    dry_run: bool
    priority: _telemetry_pb2.MessagePriority
    epoch: int
    request_id: str
    def __init__(self, command_id: _Optional[str] = ..., command: _Optional[str] = ..., target: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[_telemetry_pb2.Label, _Mapping]]] = ..., issued_by: _Optional[str] = ..., reason: _Optional[str] = ..., issued_at_ms: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., dry_run: _Optional[bool] = ..., priority: _Optional[_Union[_telemetry_pb2.MessagePriority, str]] = ..., epoch: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...
