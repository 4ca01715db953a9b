"""Frames of nissa.v2 packets for tests of deduplication, and a slow obvious twin of the dedup keys."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nissa._proto import control_pb2, telemetry_pb2
from nissa.dedup.frame_clock import STEP_MS_MAX
from nissa.model.frame import Codec, Encoding, Frame, Source


@dataclass(frozen=True)
class Sent:
    """A packet. points: (metric name, ts_ms, value). events: their descriptions."""

    source: str = "s"
    packet_id: str = ""
    epoch: int = 0
    request_id: str = ""
    points: tuple[tuple[str, int, float], ...] = ()
    events: tuple[str, ...] = ()

    @property
    def known_by(self) -> tuple[Any, ...] | None:
        """The dedup key of the packet; None where it has neither a packet id nor a request id."""
        if self.packet_id:
            return (self.source, self.packet_id)
        return (self.source, self.epoch, self.request_id) if self.request_id else None

    @property
    def kind(self) -> str:
        """The longest-lived thing in it."""
        return "metric" if self.points else "event"

    def to_bytes(self) -> bytes:
        """The frame's body as it is sent."""
        message = telemetry_pb2.TelemetryPacket(source=self.source)
        if self.packet_id:
            message.packet_id = self.packet_id
        if self.request_id:
            message.epoch, message.request_id = self.epoch, self.request_id
        for name, ts_ms, value in self.points:
            message.points.add(name=name, timestamp_ms=ts_ms, value=value)
        for description in self.events:
            message.events.add(description=description)
        return bytes(message.SerializeToString())


def delimited(messages: Iterable[bytes]) -> bytes:
    """Messages of less than 16 KiB, each behind its varint length."""
    return b"".join(bytes([len(each) & 0x7F | 0x80, len(each) >> 7]) + each for each in messages)


def frame_of(packets: Iterable[Sent], now_ms: int) -> Frame:
    """A run of packets."""
    body = delimited(packet.to_bytes() for packet in packets)
    return Frame(Codec.NISSA_PACKET, Encoding.IDENTITY, Source.HTTP, now_ms, body, True)


def alert_frame(now_ms: int, **fields: Any) -> Frame:
    """One alert notification."""
    body = control_pb2.AlertNotification(**fields).SerializeToString()
    return Frame(Codec.NISSA_ALERT, Encoding.IDENTITY, Source.HTTP, now_ms, body)


def command_frame(now_ms: int, **fields: Any) -> Frame:
    """One command."""
    body = control_pb2.ControlCommand(**fields).SerializeToString()
    return Frame(Codec.NISSA_COMMAND, Encoding.IDENTITY, Source.HTTP, now_ms, body)


@dataclass
class Memory:
    """Dictionaries of what came when, on a clock of frames. ttl_ms: by kind."""

    ttl_ms: dict[str, int]
    now_ms: int = 0
    last_ms: int | None = None
    known: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def frame(self, packets: Iterable[Sent], received_ms: int) -> list[Sent]:
        """A frame came; returns the packets that did not come before."""
        if self.last_ms is not None:
            self.now_ms += min(max(received_ms - self.last_ms, 0), STEP_MS_MAX)
        self.last_ms = received_ms
        return [packet for packet in packets if self.is_new(packet)]

    def is_new(self, packet: Sent) -> bool:
        """True if a packet did not come before. It is remembered then."""
        is_new = True
        if packet.known_by is not None:
            is_new = self._remember(("packet", packet.kind, *packet.known_by), packet.kind)
        if is_new and packet.request_id:
            self._remember(("request", packet.kind, packet.epoch, packet.request_id), packet.kind)
        return is_new

    def knows_request(self, kind: str, epoch: int, request_id: str) -> bool:
        """True if a request is remembered."""
        return self.known.get(("request", kind, epoch, request_id), 0) > self.now_ms

    def _remember(self, key: tuple[Any, ...], kind: str) -> bool:
        if self.known.get(key, 0) > self.now_ms:
            return False
        self.known[key] = self.now_ms + self.ttl_ms[kind]
        return True
