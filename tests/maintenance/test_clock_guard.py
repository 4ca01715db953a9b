"""The clock guard: jumps of the wall clock are doubted, within a process and across restarts."""

from pathlib import Path

import pytest
from catalogue.test_catalogue import block

from nissa.catalogue.catalogue import Catalogue, Checkpoint, Seal
from nissa.maintenance.clock_guard import (
    HELD_MIN_MS,
    ClockGuard,
    ClockJump,
    ClockReading,
    read_clock_reading,
    write_clock_reading,
)
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

NOW_MS = 20_000 * DAY_MS
TEN_YEARS_MS = 3_650 * DAY_MS
START = ClockReading(NOW_MS, "boot", 5)


def after(elapsed_ms: int, jump_ms: int = 0, boot: str = "boot") -> ClockReading:
    """Reading of the clocks after ``elapsed_ms``, the wall clock having been set by ``jump_ms``."""
    return ClockReading(NOW_MS + elapsed_ms + jump_ms, boot, 5 + elapsed_ms)


def doubted(guard: ClockGuard, now: ClockReading) -> int:
    """The clock's error in ms, as the guard sees it; 0 where the clock is believed."""
    clock_jump = guard.look(now)
    return 0 if clock_jump is None else clock_jump.off_ms


@pytest.mark.parametrize("jump_ms", [TEN_YEARS_MS, -TEN_YEARS_MS, DAY_MS, -HOUR_MS, MINUTE_MS + 1, -MINUTE_MS - 1])
def test_a_jump_is_doubted_until_the_clock_is_set_back(jump_ms: int) -> None:
    """Whatever the direction; a clock that goes as it went is believed at once."""
    guard = ClockGuard(None)
    assert doubted(guard, START) == 0
    assert doubted(guard, after(DAY_MS)) == 0
    assert doubted(guard, after(DAY_MS + SECOND_MS, jump_ms)) == jump_ms
    assert doubted(guard, after(DAY_MS + MINUTE_MS, jump_ms)) == jump_ms
    assert doubted(guard, after(DAY_MS + 2 * MINUTE_MS)) == 0


def test_small_steps_are_believed_and_do_not_add_up() -> None:
    """A minute against the trusted moment passes; steps are counted from there, not from each other."""
    guard = ClockGuard(START)
    assert doubted(guard, after(HOUR_MS, MINUTE_MS)) == 0
    assert doubted(guard, after(2 * HOUR_MS, 2 * MINUTE_MS)) == 2 * MINUTE_MS


def test_a_jump_is_believed_after_as_long_as_it_was_wide() -> None:
    """An hour's jump after an hour, ten years' after a year not; a short one after ten minutes."""
    guard = ClockGuard(START)
    assert guard.look(after(1, HOUR_MS)) == ClockJump(HOUR_MS, HOUR_MS)
    assert guard.look(after(HOUR_MS, HOUR_MS)) == ClockJump(HOUR_MS, 1)
    assert guard.look(after(HOUR_MS + 1, HOUR_MS)) is None
    assert guard.look(after(2 * HOUR_MS, HOUR_MS)) is None
    guard = ClockGuard(START)
    assert guard.look(after(1, 2 * MINUTE_MS)) == ClockJump(2 * MINUTE_MS, HELD_MIN_MS)
    guard = ClockGuard(START)
    assert doubted(guard, after(1, TEN_YEARS_MS)) == TEN_YEARS_MS
    assert doubted(guard, after(365 * DAY_MS, TEN_YEARS_MS)) == TEN_YEARS_MS


def test_a_clock_that_keeps_jumping_is_not_believed() -> None:
    """Each new course begins the waiting anew."""
    guard = ClockGuard(START)
    for minute in range(0, 600, 9):
        assert doubted(guard, after(minute * MINUTE_MS, (minute % 2 * 2 + 5) * MINUTE_MS)) != 0


def test_the_operator_is_believed() -> None:
    """A confirmed clock is trusted from there on, and a clock set back afterwards is doubted."""
    guard = ClockGuard(START)
    assert doubted(guard, after(1, TEN_YEARS_MS)) == TEN_YEARS_MS
    guard.believe(after(2, TEN_YEARS_MS))
    assert doubted(guard, after(3, TEN_YEARS_MS)) == 0
    assert doubted(guard, after(4)) == -TEN_YEARS_MS


def test_a_restart_of_the_process_changes_nothing() -> None:
    """While the machine runs on, downtime is known exactly, and so is a jump during it."""
    assert doubted(ClockGuard(START), after(99 * DAY_MS)) == 0
    assert doubted(ClockGuard(START), after(99 * DAY_MS, TEN_YEARS_MS)) == TEN_YEARS_MS


def test_a_restart_of_the_machine_is_doubted_as_long_as_it_took() -> None:
    """Nobody knows how long the machine was off: three hours are believed after three, a minute at once."""
    assert doubted(ClockGuard(START), ClockReading(NOW_MS + MINUTE_MS, "other", 0)) == 0
    guard = ClockGuard(START)
    for elapsed_ms in (0, HOUR_MS, 3 * HOUR_MS - 1):
        assert doubted(guard, ClockReading(NOW_MS + 3 * HOUR_MS + elapsed_ms, "other", elapsed_ms)) != 0
    assert doubted(guard, ClockReading(NOW_MS + 6 * HOUR_MS, "other", 3 * HOUR_MS)) != 0
    guard = ClockGuard(START)
    assert (
        doubted(guard, ClockReading(NOW_MS - TEN_YEARS_MS, "other", 0)) == -TEN_YEARS_MS
    )  # a machine without a battery
    assert doubted(guard, ClockReading(NOW_MS + 2, "other", 1)) == 0  # that heard of the time


def test_the_trusted_moment_is_kept(tmp_path: Path) -> None:
    """In the catalogue; where none is there or it cannot be read, the newest block stands for it."""
    catalogue = Catalogue.open(tmp_path)
    assert read_clock_reading(catalogue) is None
    catalogue.commit_seal(Seal(Checkpoint(1), (block(1), block(2))))
    assert read_clock_reading(catalogue) == ClockReading(3, "", 0)
    write_clock_reading(catalogue, START)
    assert read_clock_reading(catalogue) == START
    with catalogue.transaction("meta") as db:
        db.execute("UPDATE meta SET value = 'x' WHERE key = 'sighting'")
    assert read_clock_reading(catalogue) == ClockReading(3, "", 0)
    catalogue.close()
    assert "10 s ahead of" in str(ClockJump(10_000, 600_000))
