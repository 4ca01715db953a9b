from nissa._proto import telemetry_pb2 as _telemetry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SeriesDefinition(_message.Message):
    __slots__ = ("label_refs", "type", "unit_ref")
    LABEL_REFS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_REF_FIELD_NUMBER: _ClassVar[int]
    label_refs: _containers.RepeatedScalarFieldContainer[int]
    type: _telemetry_pb2.MetricType
    unit_ref: int
    def __init__(self, label_refs: _Optional[_Iterable[int]] = ..., type: _Optional[_Union[_telemetry_pb2.MetricType, str]] = ..., unit_ref: _Optional[int] = ...) -> None: ...

class SampleColumns(_message.Message):
    __slots__ = ("packet_id", "source", "timestamp_ms", "symbols", "series", "run_lengths", "time_deltas_ms", "values", "by_round")
    PACKET_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RUN_LENGTHS_FIELD_NUMBER: _ClassVar[int]
    TIME_DELTAS_MS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    BY_ROUND_FIELD_NUMBER: _ClassVar[int]
    packet_id: str
    source: str
    timestamp_ms: int
    symbols: _containers.RepeatedScalarFieldContainer[str]
    series: _containers.RepeatedCompositeFieldContainer[SeriesDefinition]
    run_lengths: _containers.RepeatedScalarFieldContainer[int]
    time_deltas_ms: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    by_round: bool
    def __init__(self, packet_id: _Optional[str] = ..., source: _Optional[str] = ..., timestamp_ms: _Optional[int] = ..., symbols: _Optional[_Iterable[str]] = ..., series: _Optional[_Iterable[_Union[SeriesDefinition, _Mapping]]] = ..., run_lengths: _Optional[_Iterable[int]] = ..., time_deltas_ms: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ..., by_round: _Optional[bool] = ...) -> None: ...
