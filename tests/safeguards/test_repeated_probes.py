"""An outage is news when it begins, at its first probe, and when it ends."""

from itertools import pairwise

from nissa.safeguards.breaker import BreakerState, Transition
from nissa.safeguards.repeated_probes import RepeatedProbes


def test_an_outage_that_goes_on_is_no_news() -> None:
    """Repeated probes of one breaker are no news; the next outage, and other breakers, are."""
    probes, told = RepeatedProbes(), []
    closed, opened, half_open = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
    states = [closed, opened, half_open, opened, half_open, opened, half_open, closed, opened, half_open, closed]
    for before, after in pairwise(states):
        if not probes.are(Transition("a", before, after)):
            told.append(after)
    assert told == [opened, half_open, closed, opened, half_open, closed]
    assert probes.are(Transition("a", half_open, opened))
    assert not probes.are(Transition("b", opened, half_open))
