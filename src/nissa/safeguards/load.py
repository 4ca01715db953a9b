"""Load of this process over a window of time: CPU, memory, queue, errors.

CPU      seconds of the process within the window, as a share of the seconds of all processors it may use
errors   frames that the store could not take, as a share of all frames with an outcome; bad input is neither
memory, queue    as of now
"""

from collections import deque
from typing import Final

import msgspec

FRAMES_MIN: Final = 20  # with an outcome: below that a share of errors says nothing


class Load(msgspec.Struct, frozen=True):
    """Load at one moment, in percent. half_open: names of circuit breakers that are half-open.

    burning: names of SLOs whose error budget burns too fast.
    """

    cpu_percent: float = 0.0
    memory_percent: float = 0.0
    queue_percent: float = 0.0
    error_percent: float = 0.0
    half_open: tuple[str, ...] = ()
    burning: tuple[str, ...] = ()


class LoadSample(msgspec.Struct, frozen=True):
    """Readings at one moment. at_ms: monotonic. cpu_s: of the process since it began. taken, failed: frames since."""

    at_ms: int
    cpu_s: float
    taken: int
    failed: int


class LoadWindow:
    """Readings of the last ``window_ms``. CPU is 0 until they span the window, errors are 0 for few frames."""

    def __init__(self, window_ms: int, processors: float) -> None:
        """processors: that the process may use."""
        self._window_ms = window_ms
        self._processors = processors
        self._samples: deque[LoadSample] = deque()

    def add(self, sample: LoadSample) -> tuple[float, float]:
        """Add a reading; returns CPU and errors in percent. Readings come in the order of their time."""
        self._samples.append(sample)
        while len(self._samples) > 2 and self._samples[1].at_ms <= sample.at_ms - self._window_ms:
            self._samples.popleft()
        first = self._samples[0]
        span_ms = sample.at_ms - first.at_ms
        failed, taken = sample.failed - first.failed, sample.taken - first.taken
        errors = 100.0 * failed / (failed + taken) if failed + taken >= FRAMES_MIN else 0.0
        if span_ms < self._window_ms:
            return 0.0, errors
        return 100_000.0 * (sample.cpu_s - first.cpu_s) / (span_ms * self._processors), errors
