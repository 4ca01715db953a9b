"""Settings of the Bronze tier: events that help to debug, and logs of applications without a client."""

from typing import Annotated

import msgspec

from nissa.model.quantity import count, duration, size
from nissa.model.units import HOUR_MS, KIB, MIB, SECOND_MS


class ServiceLatency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limit of one service."""

    service: str
    latency_ms_max: Annotated[int, duration(1, HOUR_MS, "latency_max")]


class BronzeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """latency_ms_max: an event with a longer duration is of the tier, whatever its level. services: with a limit of
    their own. scan_events_max: looked at for one page.
    """

    latency_ms_max: Annotated[int, duration(1, HOUR_MS, "latency_max")] = SECOND_MS
    services: tuple[ServiceLatency, ...] = ()
    scan_events_max: Annotated[int, count(1_000, 100_000_000)] = 200_000
    logs_per_minute_max: Annotated[int, count(0, 1_000_000)] = 30
    log_bytes_max: Annotated[int, size(KIB, MIB)] = 50 * KIB
    telemetry_per_minute_max: Annotated[int, count(0, 1_000_000)] = 600
    telemetry_bytes_max: Annotated[int, size(KIB, 64 * MIB)] = MIB
