"""The clock. No other file reads it; other code gets milliseconds, or these functions, as arguments."""

import time
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps


def wall_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds that only ever rise, of no particular origin."""
    return time.monotonic_ns() // 1_000_000


def steady() -> tuple[str, int]:
    """Id of the machine's current boot, empty where unknown, and milliseconds since it began.

    Nobody can set this clock.
    """
    return _boot_id(), time.clock_gettime_ns(_SINCE_BOOT) // 1_000_000


@cache
def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
