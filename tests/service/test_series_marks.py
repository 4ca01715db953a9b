"""Numbers of series by time."""

from pathlib import Path

from nissa.catalogue.state import State
from nissa.model.units import DAY_MS, HOUR_MS
from nissa.service.series_marks import INTERVAL_MS, KEPT_MS, SeriesMarks


class Clock:
    """A time and a number of series that a test sets."""

    def __init__(self) -> None:
        self.now_ms, self.count = 1_000_000 * DAY_MS, 0

    def marks(self, state: State) -> SeriesMarks:
        """Marks of this clock."""
        return SeriesMarks(state, lambda: self.count, lambda: self.now_ms)


def test_marks_outlive_a_restart(tmp_path: Path) -> None:
    """The last mark before a moment is found, after a restart too; old ones go."""
    clock, state = Clock(), State.open(tmp_path)
    start_ms, marks = clock.now_ms, clock.marks(state)
    assert marks.since(0) == (start_ms, 0)
    steps = (KEPT_MS + DAY_MS) // INTERVAL_MS
    for _ in range(steps):
        marks.mark()
        clock.now_ms += INTERVAL_MS
        clock.count += 2
    state.close()
    again = clock.marks(State.open(tmp_path))
    assert again.since(clock.now_ms - HOUR_MS) == (clock.now_ms - HOUR_MS, clock.count - 12)
    assert again.since(clock.now_ms - HOUR_MS + 1)[0] == clock.now_ms - HOUR_MS
    assert len(again.between(clock.now_ms - HOUR_MS)) == 6
    oldest_ms, _ = again.since(0)
    assert oldest_ms == clock.now_ms - KEPT_MS - INTERVAL_MS


def test_series_added_before_the_first_interval_are_counted(tmp_path: Path) -> None:
    """The first mark is of the moment at which the marks are opened, not of the one at which they first run."""
    clock, state = Clock(), State.open(tmp_path)
    marks, start_ms = clock.marks(state), clock.now_ms
    clock.now_ms += 5_000
    clock.count = 7
    marks.mark()
    assert marks.since(0) == (start_ms, 0)
    assert clock.marks(state).between(0) == [(start_ms, 0), (clock.now_ms, 7)]
    state.close()


def test_marks_that_cannot_be_are_dropped(tmp_path: Path) -> None:
    """After a restored directory or a clock that was ahead, marks begin anew."""
    clock, state = Clock(), State.open(tmp_path)
    marks = clock.marks(state)
    clock.count = 100
    marks.mark()
    clock.now_ms -= HOUR_MS
    marks.mark()
    assert marks.since(clock.now_ms + DAY_MS) == (clock.now_ms, 100)
    clock.now_ms += INTERVAL_MS
    clock.count = 50
    marks.mark()
    assert marks.since(0) == (clock.now_ms, 50)
    state.close()
