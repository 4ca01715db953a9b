"""The pace of sources follows the mode."""

from nissa.config.safeguards import PressureLimits
from nissa.safeguards.modes import Mode
from nissa.safeguards.pace import ReadingPace
from nissa.safeguards.pressure import Pressure
from nissa.safeguards.priority import Priority


def test_batches_and_delays_are_those_of_the_mode() -> None:
    """Normal mode leaves the settings alone; the others read less at a time, and wait between reads."""
    pace = ReadingPace()
    assert (pace.batch(2_000), pace.delay_s) == (2_000, 0)
    pace.set_mode(Mode.CONSERVATIVE)
    assert (pace.batch(2_000), pace.batch(50), pace.delay_s) == (100, 50, 0.01)
    pace.set_mode(Mode.EMERGENCY)
    assert (pace.batch(2_000), pace.delay_s) == (10, 0.1)
    pace.set_mode(Mode.NORMAL)
    assert (pace.batch(2_000), pace.delay_s) == (2_000, 0)


def test_sources_wait_for_their_priority() -> None:
    """A source of critical messages reads on when one of normal messages waits."""
    pace = ReadingPace(Pressure(PressureLimits(), lambda: 0.8))
    assert not pace.admits(Priority.NORMAL)
    assert pace.admits(Priority.CRITICAL)
