"""Slots of groups."""

from hypothesis import given
from hypothesis import strategies as st

from nissa.rules.schedule import missed_between, offset_of, slot_after, slot_before


@given(st.integers(0, 2**42), st.integers(1, 10**8), st.text(max_size=20))
def test_a_slot_is_the_last_before_and_the_next_is_an_interval_later(now_ms: int, interval_ms: int, key: str) -> None:
    """Slots lie an interval apart, with the offset of the group, whatever the time."""
    offset_ms = offset_of(key, interval_ms)
    slot_ms = slot_before(now_ms, interval_ms, offset_ms)
    assert 0 <= now_ms - slot_ms < interval_ms
    assert (slot_ms - offset_ms) % interval_ms == 0
    assert slot_after(now_ms, interval_ms, offset_ms) == slot_ms + interval_ms
    assert missed_between(slot_ms - 3 * interval_ms, slot_ms, interval_ms) == 3
    assert missed_between(slot_ms + interval_ms, slot_ms, interval_ms) == 0
