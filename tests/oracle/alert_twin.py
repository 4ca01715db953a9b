"""The state of an alert, computed from its whole past without keeping state.

It fires at t if it was there without a gap from some time s to f with f - s >= for, and in every gap from f to t the
time since the first evaluation without it is under keep_firing_for. It is pending at t if it is there at t and does not
fire.
"""

from collections.abc import Sequence


def state_at(present: Sequence[bool], times_ms: Sequence[int], for_ms: int, keep_ms: int) -> str:
    """``firing``, ``pending`` or ``inactive`` at the last of the times."""
    last = len(times_ms) - 1
    for fired in range(last + 1):
        if _fires_at(present, times_ms, fired, for_ms) and _stays(present, times_ms, fired, keep_ms):
            return "firing"
    return "pending" if present[last] else "inactive"


def _fires_at(present: Sequence[bool], times_ms: Sequence[int], at: int, for_ms: int) -> bool:
    since = at
    while since >= 0 and present[since]:
        if times_ms[at] - times_ms[since] >= for_ms:
            return True
        since -= 1
    return False


def _stays(present: Sequence[bool], times_ms: Sequence[int], fired: int, keep_ms: int) -> bool:
    gap_ms = None
    for at in range(fired, len(times_ms)):
        if present[at]:
            gap_ms = None
            continue
        gap_ms = times_ms[at] if gap_ms is None else gap_ms
        if times_ms[at] - gap_ms >= keep_ms:
            return False
    return True
