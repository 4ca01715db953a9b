"""Counts of the bus."""

from nissa.model.bus_counts import LABELS_MAX, OTHER, BusCounts


def test_counts_add_up_under_a_bound() -> None:
    """Sums by label; labels beyond the bound are counted together."""
    total = BusCounts()
    total.add(BusCounts(packets={"a": 2}, simic_reward=0.5, hazards_high={"x": 1}))
    total.add(BusCounts(packets={"a": 1, "b": 1}, simic_iterations=2.0, reports={"success": 1}))
    assert total.packets == {"a": 3, "b": 1}
    assert (total.simic_reward, total.simic_iterations) == (0.5, 2.0)
    assert (total.hazards_high, total.reports) == ({"x": 1}, {"success": 1})
    total.add(BusCounts(packets={f"s{number}": 1 for number in range(LABELS_MAX)}))
    assert len(total.packets) == LABELS_MAX + 1
    assert total.packets[OTHER] == 2
