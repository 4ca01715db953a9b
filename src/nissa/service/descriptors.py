"""File descriptors: as many as the system allows, and some that no sender may have.

    0 ───────────── connections ─────────────┬──── files, queries, the API ────┐ limit
                                             limit - reserve

Without a reserve, senders that only connect would keep the journal from its next segment and blocks from being written.
"""

import resource
import sys

RESERVE = 256


def room_for_connections() -> int:
    """Raise the limit of open descriptors as far as this process may; how many of them connections may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return sys.maxsize
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - min(RESERVE, hard // 2)
