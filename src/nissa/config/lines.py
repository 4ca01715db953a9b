"""Settings of sources that read lines from their own socket. A source is off while ``listen`` is empty."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count, duration, size
from nissa.model.units import DAY_MS, HOUR_MS, KIB, MIB, SECOND_MS


class Graphite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Graphite plaintext over TCP: lines of all connections are joined to frames."""

    listen: str = ""
    connections_max: Annotated[int, count(1, 100_000)] = 1_000
    idle_timeout_ms: Annotated[int, duration(10, 7 * DAY_MS)] = HOUR_MS
    line_bytes_max: Annotated[int, size(64, MIB)] = 64 * KIB
    frame_bytes_max: Annotated[int, size(KIB, 32 * MIB)] = MIB
    linger_ms: Annotated[int, duration(0, 10 * SECOND_MS)] = 100
    buffered_bytes_max: Annotated[int, size(64 * KIB, 1024 * MIB)] = 16 * MIB


class Statsd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """StatsD over UDP, and over TCP at the same address. Lines are added up and flushed every interval."""

    listen: str = ""
    flush_interval_ms: Annotated[int, duration(100, HOUR_MS)] = 10 * SECOND_MS
    idle_ttl_ms: Annotated[int, duration(SECOND_MS, 7 * DAY_MS)] = HOUR_MS
    quantiles: tuple[float, ...] = (0.5, 0.9, 0.99, 1.0)
    meters_max: Annotated[int, count(1, 10_000_000)] = 100_000
    sketch_buckets_max: Annotated[int, count(1_000, 100_000_000)] = 4_000_000
    set_members_max: Annotated[int, count(1_000, 100_000_000)] = 1_000_000
    events_max: Annotated[int, count(1, 1_000_000)] = 10_000
    receive_buffer_bytes: Annotated[int, size(64 * KIB, 1024 * MIB)] = 4 * MIB
    connections_max: Annotated[int, count(1, 100_000)] = 1_000
    idle_timeout_ms: Annotated[int, duration(10, 7 * DAY_MS)] = HOUR_MS
    line_bytes_max: Annotated[int, size(64, MIB)] = 64 * KIB
