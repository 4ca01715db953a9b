"""The clock: the only file that reads it. Everybody else is given milliseconds, or this function."""

import time


def wall_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds that only ever rise, of no particular origin."""
    return time.monotonic_ns() // 1_000_000
