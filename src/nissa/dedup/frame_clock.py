"""A clock made of frames: it only goes forward, and a replay of the same frames shows the same times.

    received_ms of frames     1000   1400   900    1900   +10 years   …+1 s
    steps                         400      0   1000        60,000    1,000
    frame clock                0     400    400   1400      61,400   62,400

What expires in the engine must expire alike when the journal is replayed, so it cannot look at the process' monotonic
clock, and the wall clock that frames carry may be set at any moment. This clock advances by the steps between frames,
never backward and never by more than ``STEP_MS_MAX``. While nothing arrives it does not advance, so entries stay
longer.
"""

from nissa.model.units import MINUTE_MS

STEP_MS_MAX = MINUTE_MS  # a busy engine sees a frame every second: its own telemetry


class FrameClock:
    """now_ms: where it stands. last_ms: the latest frame, None before the first. Both go into a checkpoint."""

    def __init__(self, now_ms: int = 0, last_ms: int | None = None) -> None:
        self.now_ms = now_ms
        self.last_ms = last_ms

    def advance(self, received_ms: int) -> int:
        """Take a frame's time in; returns where the clock stands now."""
        step_ms = 0 if self.last_ms is None else received_ms - self.last_ms
        if step_ms > 0:
            self.now_ms += min(step_ms, STEP_MS_MAX)
        self.last_ms = received_ms
        return self.now_ms
