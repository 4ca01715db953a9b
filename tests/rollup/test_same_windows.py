"""Windows are found and compared by series and start, as a dictionary would."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nissa.model.columns import SampleBatch
from nissa.model.ladder import DEFAULT_TIERS, WindowBatch
from nissa.rollup.fold import fold_raw
from nissa.rollup.same_windows import no_windows, only_windows, rows_alike, rows_of
from nissa.store.tier_blocks import columns_kept

TIER = DEFAULT_TIERS[1]
NAMES = columns_kept(TIER)
ROWS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(-5, 5)), st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf]), max_size=12
)
Rows = dict[tuple[int, int], float]


def windows_of(rows: Rows) -> WindowBatch:
    """A window of 5m for each row, with one sample."""
    if not rows:
        return no_windows()
    keys = sorted(rows)
    series = np.array([key[0] for key in keys], np.uint32)
    ts_ms = np.array([key[1] * TIER.interval_ms + 7 for key in keys], np.int64)
    value = np.array([rows[key] for key in keys])
    return fold_raw([SampleBatch(series, ts_ms, value)], DEFAULT_TIERS)[1]


def said(value: float) -> str:
    """The value as a window of one sample keeps it: every NaN is the same."""
    return "nan" if np.isnan(value) else value.hex()


@given(ROWS, ROWS)
def test_as_a_dictionary(left: Rows, right: Rows) -> None:
    """Places, choices and comparisons are those of dictionaries of rows."""
    one, two, wanted = windows_of(left), windows_of(right), sorted(right)
    places = rows_of(one, two.series, two.start_ms, TIER.interval_ms).tolist()
    assert places == [sorted(left).index(key) if key in left else -1 for key in wanted]
    alike = rows_alike(one, two, NAMES, TIER.interval_ms).tolist()
    assert alike == [key in right and said(left[key]) == said(right[key]) for key in sorted(left)]
    chosen = only_windows([one], two.series, two.start_ms, TIER.interval_ms)
    keys = zip(chosen.series.tolist(), (chosen.start_ms // TIER.interval_ms).tolist(), strict=True)
    assert list(keys) == [key for key in sorted(left) if key in right]


def test_sketches_are_compared() -> None:
    """Windows that differ in their sketch alone are not alike."""
    one, two = windows_of({(1, 0): 1.0, (2, 0): 1.0}), windows_of({(1, 0): 1.0, (2, 0): 2.0})
    assert rows_alike(one, two, ("sketch",), TIER.interval_ms).tolist() == [True, False]
