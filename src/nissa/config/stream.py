"""Settings of the live stream (``WS /ws/stream``)."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count, duration, size
from nissa.model.units import GIB, HOUR_MS, KIB, MIB, SECOND_MS


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """interval_ms: of status, alerts and queries. buffer_bytes_max: that one client has not taken yet."""

    interval_ms: Annotated[int, duration(100, HOUR_MS)] = 5 * SECOND_MS
    events_interval_ms: Annotated[int, duration(100, HOUR_MS)] = SECOND_MS
    clients_max: Annotated[int, count(1, 100_000)] = 1_000
    subscriptions_max: Annotated[int, count(1, 1_000)] = 16
    queries_max: Annotated[int, count(1, 10_000)] = 100
    buffer_bytes_max: Annotated[int, size(KIB, GIB)] = 4 * MIB
    messages_per_minute_max: Annotated[int, count(1, 100_000)] = 120
