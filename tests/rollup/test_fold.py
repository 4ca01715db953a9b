"""The tiers of a ladder, folded at once and piece by piece."""

import pytest
from rollup.walks import batch_of, image, rows_between

from nissa.model.ladder import DEFAULT_TIERS, SCALARS, Tier
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS
from nissa.rollup.fold import fold_raw, fold_tier, tiers_of_samples

SUMS = Tier(MINUTE_MS, DAY_MS, SCALARS)
FULL = Tier(MINUTE_MS, DAY_MS)
HOURS = Tier(HOUR_MS, DAY_MS)


@pytest.mark.parametrize(
    ("tiers", "made"),
    [((), 0), ((SUMS,), 1), ((FULL,), 1), ((SUMS, HOURS), 2), ((FULL, HOURS), 1), (DEFAULT_TIERS, 2)],
)
def test_samples_make_the_tiers_whose_sketches_need_them(tiers: tuple[Tier, ...], made: int) -> None:
    """Two where only the second has sketches, else one."""
    assert tiers_of_samples(tiers) == made
    windows = fold_raw([batch_of()], tiers)
    assert [one.sketch is not None for one in windows] == [tier.has_sketch for tier in tiers[:made]]


def test_a_first_tier_may_have_sketches() -> None:
    """Its numbers are those of one without, its sketches merge to those of a second tier."""
    with_sketches, without = fold_raw([batch_of()], (FULL,))[0], fold_raw([batch_of()], (SUMS,))[0]
    assert image(with_sketches)[:12] == image(without)
    assert image(fold_tier(with_sketches, HOURS)) == image(fold_raw([batch_of()], (SUMS, HOURS))[1])


@pytest.mark.parametrize("border_ms", [0, HOUR_MS // 2, HOUR_MS])
def test_pieces_of_whole_windows_are_the_whole(border_ms: int) -> None:
    """Windows folded before and after a border equal those folded at once, bit for bit, up the ladder."""
    batch = batch_of(series=1)
    pieces = [rows_between(batch, -DAY_MS, border_ms), rows_between(batch, border_ms, DAY_MS)]
    wholes = fold_raw([batch], DEFAULT_TIERS)
    halves = [fold_raw([piece], DEFAULT_TIERS) for piece in pieces]
    for number, whole in enumerate(wholes):
        joined = [a + b for a, b in zip(*(image(half[number])[:11] for half in halves), strict=True)]
        assert joined == image(whole)[:11]
    assert image(fold_raw(pieces, DEFAULT_TIERS)[1]) == image(wholes[1])


def test_a_tier_without_sketches_ends_them() -> None:
    """A tier above may keep less than the one below."""
    five_minutes = fold_raw([batch_of()], DEFAULT_TIERS)[1]
    assert fold_tier(five_minutes, Tier(HOUR_MS, DAY_MS, SCALARS)).sketch is None
    assert fold_tier(fold_tier(five_minutes, DEFAULT_TIERS[2]), DEFAULT_TIERS[3]).count.tolist() == [200] * 3
