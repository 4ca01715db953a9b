"""Times at which a group is evaluated: slots of its interval on the wall clock, each group with its own offset.

    interval 30s, offset 7s      … 12:00:07   12:00:37   12:01:07 …

The offset follows from the key of the group, so that groups of one interval are spread over it, and the same after a
restart. A slot that passes while the group is still being evaluated is missed: it is counted, and never made up for.
"""

import zlib


def offset_of(key: str, interval_ms: int) -> int:
    """Milliseconds behind a multiple of the interval."""
    return zlib.crc32(key.encode()) * 1_000 % interval_ms


def slot_before(now_ms: int, interval_ms: int, offset_ms: int) -> int:
    """The last slot at or before ``now_ms``."""
    return now_ms - (now_ms - offset_ms) % interval_ms


def slot_after(now_ms: int, interval_ms: int, offset_ms: int) -> int:
    """The first slot after ``now_ms``."""
    return slot_before(now_ms, interval_ms, offset_ms) + interval_ms


def missed_between(expected_ms: int, slot_ms: int, interval_ms: int) -> int:
    """Slots that have passed: ``expected_ms`` is the one that was due, ``slot_ms`` the one that is evaluated."""
    return max((slot_ms - expected_ms) // interval_ms, 0)
