"""Windows in quarantine: reported to a reader of their range, or raised."""

from pathlib import Path

import pytest

from nissa.catalogue.catalogue import TierRow
from nissa.model.errors import Damaged
from nissa.model.ladder import DEFAULT_TIERS
from nissa.model.units import MINUTE_MS
from nissa.rollup.read import WindowRequest, read_windows
from nissa.store.quarantine import Quarantined, QuarantineRow
from nissa.store.read import Snapshot


def test_missing_windows_are_told_by_tier_and_range(tmp_path: Path) -> None:
    """Missing windows are reported if they are of the tier and the range that is read."""
    tiers = tuple(TierRow(tier, 99 * MINUTE_MS, 1) for tier in DEFAULT_TIERS[:2])
    path = "blocks/1m-00000000000000000007.parquet"
    missing = (QuarantineRow(path, "1m", 5, MINUTE_MS, 5 * MINUTE_MS, 0, 9, 0, 1, 9, "hit"),)
    snapshot = Snapshot(tmp_path, tiers=tiers, missing=missing)
    told: list[Damaged] = []
    for place, start_ms, end_ms in ((0, 6 * MINUTE_MS, 9 * MINUTE_MS), (1, 0, 10 * MINUTE_MS), (0, 0, 9 * MINUTE_MS)):
        assert list(read_windows(snapshot, place, WindowRequest(None, start_ms, end_ms, on_damage=told.append))) == []
    assert [Path(one.path).name for one in told] == [Path(path).name + ".damaged"]
    with pytest.raises(Quarantined, match="5 rows"):
        list(read_windows(snapshot, 0, WindowRequest(None, 0, 9 * MINUTE_MS)))
