"""The clock guard: whether the wall clock may be believed where something is to be deleted for its age.

    wall     ──────┐                      a clock that counts since the machine started, asleep or not, cannot be set;
                   │ +10 years            where the two are apart by more than a minute against the last moment at
    steady   ──────┴──────────────►       which they were trusted, the wall clock is in doubt and nothing is deleted
             trusted   in doubt

Doubt ends when the clocks agree again (the clock was set back), when an operator confirms it (``believe``), or when
the wall clock has kept its new course for as long as the jump was wide: what a clock that lies by an hour could delete
too early is then an hour old anyway, and one that lies by ten years is never believed by itself.

The trusted moment outlives the process: it is in the catalogue. While the machine runs on, the steady clock tells
exactly how long Nissa was down; after a restart of the machine this is not known, so a wall clock that went on by
three hours is believed after three hours, and one that is behind its last sighting as soon as it has caught up.
``docs/decisions/0007-what-may-be-deleted.md`` says why.

Times are arguments. For one thread at a time.
"""

import msgspec

from nissa.catalogue.catalogue import Catalogue
from nissa.model.units import MINUTE_MS

DRIFT_MAX_MS = MINUTE_MS
HELD_MIN_MS = 10 * MINUTE_MS
KEY = "sighting"


class ClockReading(msgspec.Struct, frozen=True):
    """Both clocks at one moment. boot: id of the run of the machine that steady_ms counts in; empty if not known."""

    wall_ms: int
    boot: str
    steady_ms: int


class ClockJump(msgspec.Struct, frozen=True):
    """The wall clock is off by ``off_ms``, ahead where positive; believed in ``left_ms`` unless it moves again."""

    off_ms: int
    left_ms: int

    def __str__(self) -> str:
        course = "ahead of" if self.off_ms > 0 else "behind"
        return (
            f"the wall clock is {abs(self.off_ms) // 1000} s {course} where it was expected;"
            f" it is believed in {self.left_ms // 1000} s, or when it is confirmed"
        )


class ClockGuard:
    """Judges the wall clock. trusted: the last moment at which it was trusted."""

    def __init__(self, trusted: ClockReading | None) -> None:
        """trusted: of an earlier process, None where there was none: then the first one seen is believed."""
        self.trusted = trusted
        self._course: ClockReading | None = None  # since when the wall clock has gone as it goes now, while in doubt

    def look(self, now: ClockReading) -> ClockJump | None:
        """The reason for deleting nothing by age now, or None."""
        if self.trusted is None:
            self.trusted = now
        off_ms = _off_ms(self.trusted, now)
        if abs(off_ms) <= DRIFT_MAX_MS:
            self._course = None
            if self.trusted.boot != now.boot:
                self.trusted = now
            return None
        if self._course is None or abs(_off_ms(self._course, now)) > DRIFT_MAX_MS:
            self._course = now
        held_ms = now.steady_ms - self._course.steady_ms
        left_ms = max(abs(off_ms), HELD_MIN_MS) - held_ms
        if left_ms > 0:
            return ClockJump(off_ms, left_ms)
        self.believe(now)
        return None

    def is_off(self, now: ClockReading) -> bool:
        """True if ``look`` would begin to doubt. Changes nothing; safe from any thread."""
        return self.trusted is not None and abs(_off_ms(self.trusted, now)) > DRIFT_MAX_MS

    def believe(self, now: ClockReading) -> None:
        """Trust the wall clock as it is now: it kept its course long enough, or an operator confirmed it."""
        self.trusted, self._course = now, None


def _off_ms(then: ClockReading, now: ClockReading) -> int:
    """Milliseconds by which the wall clock ran ahead of the steady one since ``trusted``."""
    elapsed_ms = now.steady_ms - then.steady_ms if then.boot and then.boot == now.boot else 0
    return now.wall_ms - then.wall_ms - elapsed_ms


def read_clock_reading(catalogue: Catalogue) -> ClockReading | None:
    """The last trusted moment of earlier processes; in a directory that has none, when its newest block was written."""
    rows = catalogue.select("SELECT value FROM meta WHERE key = ?", (KEY,))
    if rows:
        try:
            return msgspec.json.decode(rows[0][0], type=ClockReading)
        except msgspec.MsgspecError:
            pass  # as if there were none: the blocks are still there to be asked
    newest_ms = max((block.created_ms for block in catalogue.blocks()), default=None)
    return None if newest_ms is None else ClockReading(newest_ms, "", 0)


def write_clock_reading(catalogue: Catalogue, clock_reading: ClockReading) -> None:
    """Remember a moment at which the clocks were trusted."""
    text = msgspec.json.encode(clock_reading).decode()
    with catalogue.transaction("meta") as db:
        db.execute("REPLACE INTO meta (key, value) VALUES (?, ?)", (KEY, text))
