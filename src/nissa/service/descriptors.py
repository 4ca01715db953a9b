"""Raises the limit of file descriptors, and reserves some that connections may not use.

    0 ───────────── connections ─────────────┬──── files, queries, the API ────┐ limit
                                             limit - reserve

Without a reserve, senders that only connect would keep the journal from its next segment and blocks from being written.
"""

import resource
import sys

import msgspec

from nissa.config.tree import Ingest

RESERVE = 256


def room_for_connections() -> int:
    """Raise the limit of open descriptors as far as this process may; how many of them connections may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return sys.maxsize
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - min(RESERVE, hard // 2)


def with_room(ingest: Ingest) -> Ingest:
    """``ingest`` with no more connections than there is room for."""
    return msgspec.structs.replace(ingest, connections_max=min(ingest.connections_max, room_for_connections()))
