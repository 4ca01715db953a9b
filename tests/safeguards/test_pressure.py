"""The curve of admission, and the counts of what it refuses."""

import pytest

from nissa.config.safeguards import PressureLimits
from nissa.safeguards.pressure import Pressure
from nissa.safeguards.priority import Priority


@pytest.mark.parametrize(
    ("fill", "admitted"), [(0.0, 4), (0.49, 4), (0.5, 3), (0.74, 3), (0.75, 2), (0.85, 1), (0.94, 1), (0.95, 0), (2, 0)]
)
def test_the_curve_is_that_of_the_contract(fill: float, admitted: int) -> None:
    """Low up to .50 of the queue, normal .75, high .85, critical .95; the higher priority is never refused first."""
    pressure = Pressure(PressureLimits(), lambda: fill)
    found = [priority for priority in Priority if pressure.refusal(priority) is None]
    assert found == list(Priority)[4 - admitted :]
    assert pressure.calm is (admitted == 4)


def test_a_refusal_says_why_and_spreads_retries() -> None:
    """The message has the share, the limit and the setting; senders get different Retry-After times."""
    pressure = Pressure(PressureLimits(), lambda: 0.8)
    refusals = [pressure.refusal(Priority.NORMAL) for _ in range(4)]
    assert [refusal.retry_after_s for refusal in refusals if refusal is not None] == [1, 2, 3, 1]
    assert "80 % full" in str(refusals[0])
    assert "from 75 % on (safeguards.pressure.normal_percent)" in str(refusals[0])


def test_refused_frames_are_counted() -> None:
    """Refused frames are counted by source, priority and reason."""
    pressure = Pressure(PressureLimits(), lambda: 1.0)
    for reason in ("pressure", "pressure", "breaker"):
        pressure.count("http/remote_write_1", Priority.LOW, reason)
    assert pressure.facts() == {"http/remote_write_1": {"low": {"pressure": 2, "breaker": 1}}}
