"""Raises the limit of file descriptors, and reserves some that connections may not use.

    0 ───────────── connections ─────────────┬──── files, queries, the API ────┐ limit
                                             limit - reserve

Without a reserve, senders that only connect would keep the journal from its next segment and blocks from being written.
"""

import resource
import sys

import msgspec

from nissa.config.sources import Sources
from nissa.config.tree import Config, Ingest

RESERVE = 256
SHARE = 8  # the part of the room that one port beside the ingest port may have: an eighth


def room_for_connections() -> int:
    """Raise the limit of open descriptors as far as this process may; how many of them connections may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return sys.maxsize
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - min(RESERVE, hard // 2)


def with_room(config: Config) -> Ingest:
    """``config.ingest`` with no more connections than other ports and its handshakes leave room for."""
    room, sources = room_for_connections(), sources_with_room(config.sources)
    taken = (
        (sources.otlp.grpc_connections_max, sources.otlp.grpc_listen),
        (sources.graphite.connections_max, sources.graphite.listen),
        (sources.statsd.connections_max, sources.statsd.listen),
        (config.ingest.tls.handshakes_max, config.ingest.tls.certificate_file),
    )
    left = max(room - sum(count for count, is_on in taken if is_on), room // SHARE, 1)
    return msgspec.structs.replace(config.ingest, connections_max=min(config.ingest.connections_max, left))


def sources_with_room(sources: Sources) -> Sources:
    """``sources`` with at most ``SHARE`` of the room for connections to each of their ports."""
    share = max(room_for_connections() // SHARE, 1)
    otlp, graphite, statsd = sources.otlp, sources.graphite, sources.statsd
    return msgspec.structs.replace(
        sources,
        otlp=msgspec.structs.replace(otlp, grpc_connections_max=min(otlp.grpc_connections_max, share)),
        graphite=msgspec.structs.replace(graphite, connections_max=min(graphite.connections_max, share)),
        statsd=msgspec.structs.replace(statsd, connections_max=min(statsd.connections_max, share)),
    )
