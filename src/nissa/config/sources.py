"""Settings of sources other than the ingest port. A source is off while its address (``url``, ``listen``) is empty."""

from typing import Annotated

import msgspec

from nissa.config.buses import Kafka, Nats, Oona
from nissa.config.lines import Graphite, Statsd
from nissa.config.scrape import Scrape
from nissa.model.quantity import count, duration, size
from nissa.model.units import DAY_MS, GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS


class Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Groups of the Pushgateway API on the ingest port: always on."""

    interval_ms: Annotated[int, duration(100, HOUR_MS)] = 15 * SECOND_MS
    groups_max: Annotated[int, count(1, 1_000_000)] = 10_000
    group_bytes_max: Annotated[int, size(KIB, 1_000 * KIB)] = 512 * KIB
    total_bytes_max: Annotated[int, size(KIB, GIB)] = 32 * MIB


class Otlp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """OpenTelemetry's protocol, which the ingest port always has. listen: further addresses, for its paths alone.

    grpc_listen: addresses for gRPC, which needs grpcio. grpc_requests_max: requests under way at once.
    grpc_connections_max: open connections, also those that are not ready for requests yet.
    delta_series_max, delta_ttl_ms: of totals of sums and histograms with delta temporality.
    """

    listen: tuple[str, ...] = ()
    grpc_listen: tuple[str, ...] = ()
    grpc_requests_max: Annotated[int, count(1, 10_000)] = 64
    grpc_connections_max: Annotated[int, count(1, 100_000)] = 1_000
    delta_series_max: Annotated[int, count(1, 10_000_000)] = 200_000
    delta_ttl_ms: Annotated[int, duration(MINUTE_MS, 30 * DAY_MS)] = HOUR_MS


class Sources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One section for each outside system that Nissa reads."""

    push: Push = Push()
    otlp: Otlp = Otlp()
    graphite: Graphite = Graphite()
    statsd: Statsd = Statsd()
    scrape: Scrape = Scrape()
    oona: Oona = Oona()
    nats: Nats = Nats()
    kafka: Kafka = Kafka()
