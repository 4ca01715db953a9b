"""Raises the limit of file descriptors, and reserves some that connections may not use.

    0 ───────────── connections ─────────────┬──── files, queries, the API ────┐ limit
                                             limit - reserve

Without a reserve, senders that only connect would keep the journal from its next segment and blocks from being written.
"""

import resource
import sys

import msgspec

from nissa.config.tree import Config

RESERVE = 256
SHARE = 8  # of the room: what one port beside the ingest port may have


def room_for_connections() -> int:
    """Raise the limit of open descriptors as far as this process may; how many of them connections may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return sys.maxsize
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - min(RESERVE, hard // 2)


def with_room(config: Config) -> Config:
    """``config`` with no more connections than there is room for: each further port has ``SHARE`` of it at most, the
    ingest port what they and its handshakes leave."""
    room, sources = room_for_connections(), config.sources
    share = max(room // SHARE, 1)
    otlp, graphite, statsd = sources.otlp, sources.graphite, sources.statsd
    otlp = msgspec.structs.replace(otlp, grpc_connections_max=min(otlp.grpc_connections_max, share))
    graphite = msgspec.structs.replace(graphite, connections_max=min(graphite.connections_max, share))
    statsd = msgspec.structs.replace(statsd, connections_max=min(statsd.connections_max, share))
    taken = (
        (otlp.grpc_connections_max, otlp.grpc_listen),
        (graphite.connections_max, graphite.listen),
        (statsd.connections_max, statsd.listen),
        (config.ingest.tls.handshakes_max, config.ingest.tls.certificate_file),
    )
    left = max(room - sum(count for count, is_on in taken if is_on), share)
    ingest = msgspec.structs.replace(config.ingest, connections_max=min(config.ingest.connections_max, left))
    sources = msgspec.structs.replace(sources, otlp=otlp, graphite=graphite, statsd=statsd)
    return msgspec.structs.replace(config, ingest=ingest, sources=sources)
