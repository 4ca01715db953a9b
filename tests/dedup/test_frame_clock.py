"""The clock made of frames goes forward only, by bounded steps, and alike on a replay."""

from hypothesis import given
from hypothesis import strategies as st

from nissa.dedup import FrameClock
from nissa.dedup.frame_clock import STEP_MS_MAX

TEN_YEARS_MS = 10 * 365 * 86_400_000


def test_it_goes_with_the_frames() -> None:
    """Steps between frames add up; the first frame is where it begins."""
    clock = FrameClock()
    assert [clock.advance(at) for at in (1_000, 1_400, 1_400, 2_000)] == [0, 400, 400, 1_000]


def test_a_wall_clock_that_is_set_moves_it_little() -> None:
    """Ten years forward count as one bounded step, ten years back as none, and it goes on from there."""
    clock = FrameClock(now_ms=5, last_ms=TEN_YEARS_MS)
    assert clock.advance(2 * TEN_YEARS_MS) == 5 + STEP_MS_MAX
    assert clock.advance(TEN_YEARS_MS) == 5 + STEP_MS_MAX
    assert clock.advance(TEN_YEARS_MS + 700) == 5 + STEP_MS_MAX + 700


@given(st.lists(st.integers(-(2**47), 2**47)), st.integers(0, 30))
def test_it_never_goes_back_and_continues_from_a_checkpoint(times: list[int], cut: int) -> None:
    """Whatever frames say: ascending, and the same where it was stopped and begun again in between."""
    clock, first = FrameClock(), FrameClock()
    shown = [clock.advance(at) for at in times]
    assert shown == sorted(shown)
    before = [first.advance(at) for at in times[:cut]]
    second = FrameClock(first.now_ms, first.last_ms)
    assert before + [second.advance(at) for at in times[cut:]] == shown
