"""Counters of hot paths: plain attributes, without locks or look-ups.

One thread writes each object (the loop, for HttpCells); any thread reads it. Python replaces integers atomically, so a
reader sees a recent value, never a torn one.
"""

from bisect import bisect_left
from collections import defaultdict
from typing import Final

# Seconds. An acknowledgement waits for one fdatasync: a millisecond on flash, tens on a spinning disk.
LATENCY_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """Counts per bucket: ``counts[i]`` holds values in ``(bounds[i - 1], bounds[i]]``, the last one all above."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count ``value``."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class HttpCells:
    """Counters of the hot endpoint.

    requests: (path label, status) -> answers given. timeouts: phase -> connections closed for being slow.
    latency: seconds from the last byte of a frame to the answer being ready.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.latency = Histogram(LATENCY_BOUNDS_S)
        self.timeouts: dict[str, int] = {"header": 0, "body": 0, "idle": 0, "write": 0}
        self.body_bytes = 0
        self.connections = 0
        self.connections_refused = 0
        self.buffered_bytes = 0
        self.malformed = 0
        self.pauses = 0
        self.internal_errors = 0
