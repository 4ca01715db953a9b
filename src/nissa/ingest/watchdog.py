"""The watchdog: detects worker threads that make no progress.

    worker      beat  beat  beat   ·     ·     ·     ·   beat         each turn of its loop, each piece of long work
    watchdog      |     |     |     |     |     |     |     |         looks once per interval
    stalled                                     └───────────┘         after ``intervals_max`` looks without a beat

Beats are counted, not timed, so neither a clock jump nor a suspended machine is taken for a stall. A worker that waits
for work beats too. The watchdog stops nothing: a stall is reported in the status, by ``/-/ready``, in metrics and in
the log, and ends when the worker makes progress.
"""

import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any

import structlog

from nissa.config.tree import Watchdog as WatchdogSettings
from nissa.model.units import SECOND_MS

FRAMES_MAX = 12  # of a stalled thread's stack in the log, the innermost

log = structlog.get_logger()


class Pulse:
    """The progress of one worker: counted by the worker alone, read by any thread."""

    def __init__(self) -> None:
        self.beats = 0

    def beat(self) -> None:
        """The worker has made progress."""
        self.beats += 1


class Watchdog:
    """Looks at the pulses of workers, on a thread of its own. ``stalled`` names those without progress."""

    def __init__(self, settings: WatchdogSettings, workers: Mapping[str, tuple[Pulse, threading.Thread]]) -> None:
        """workers: by name, each with the thread it runs on."""
        self._settings = settings
        self._workers = dict(workers)
        self._seen = {name: (pulse.beats, 0) for name, (pulse, _) in self._workers.items()}  # beats, looks without one
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nissa-watchdog", daemon=True)
        self.stalled: tuple[str, ...] = ()
        self.stalls = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Workers that end make no progress from here on."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.interval_ms / SECOND_MS):
            self.look()

    def look(self) -> None:
        """One look at every worker, as once per interval."""
        for name, (pulse, thread) in self._workers.items():
            beats, missed = self._seen[name]
            missed = missed + 1 if pulse.beats == beats else 0
            self._seen[name] = (pulse.beats, missed)
            is_stalled = missed >= self._settings.intervals_max
            if is_stalled and name not in self.stalled:
                self.stalled += (name,)
                self.stalls += 1
                log.error("a worker makes no progress", worker=name, for_ms=self._limit_ms, where=_place_of(thread))
            elif not is_stalled and name in self.stalled:
                self.stalled = tuple(one for one in self.stalled if one != name)
                log.warning("a worker makes progress again", worker=name)

    @property
    def _limit_ms(self) -> int:
        return self._settings.interval_ms * self._settings.intervals_max

    @property
    def reason(self) -> str | None:
        """Describes the stalled workers; None where all make progress."""
        stalled = self.stalled
        return f"no progress for {self._limit_ms} ms: {', '.join(stalled)}" if stalled else None

    def facts(self) -> dict[str, Any]:
        """For ``/api/status`` and the self metrics."""
        stalled = self.stalled
        return {"workers": list(self._workers), "stalled": list(stalled), "count": len(stalled), "stalls": self.stalls}


def _place_of(thread: threading.Thread) -> str:
    """The stack of a thread, the outermost frame first."""
    frame = sys._current_frames().get(thread.ident or 0)
    frames = [] if frame is None else traceback.extract_stack(frame)[-FRAMES_MAX:]
    return " > ".join(f"{one.filename}:{one.lineno} {one.name}" for one in frames)
