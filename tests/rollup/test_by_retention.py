"""Windows by how long they are kept."""

from pathlib import Path

import numpy as np
from rollup.walks import TIERS, batch_of

from nissa.catalogue.catalogue import Catalogue
from nissa.model.columns import SeriesColumn, TimeColumn
from nissa.model.ladder import AS_THE_TIER, Policy, Tier
from nissa.model.units import DAY_MS
from nissa.rollup.by_retention import RetentionSplitter, by_kind, kind_for, only_kept
from nissa.rollup.fold import fold_raw
from nissa.store.tier_blocks import read_tier_block

ALWAYS = (-(2**63), 2**63 - 1)


class Thirds:
    """Series 0 as the tier says, series 1 for 30 days, series 2 not at all."""

    def kept_ms(self, tier: Tier, series: SeriesColumn, start_ms: TimeColumn) -> TimeColumn:
        return np.array([AS_THE_TIER, 30 * DAY_MS, 0])[series]

    def groups(self, series: SeriesColumn) -> list[tuple[Policy | None, SeriesColumn]]:
        return [(None, series)]


def test_windows_are_parted_by_kind() -> None:
    """Windows are split by kind; without policies they pass unread."""
    windows = fold_raw([batch_of(series=3)], TIERS)[1]
    found = dict(by_kind(Thirds(), TIERS[1], windows))
    assert {kind: set(part.series.tolist()) for kind, part in found.items()} == {"5m": {0}, "5m~30d": {1}}
    assert sum(map(len, found.values())) == len(only_kept(Thirds(), TIERS[1], windows)) < len(windows)
    assert only_kept(None, TIERS[1], windows) is windows
    assert dict(by_kind(None, TIERS[1], windows)) == {"5m": windows}
    assert kind_for(TIERS[1], 90_000) == "5m~90s"


def test_each_kind_has_its_block(tmp_path: Path) -> None:
    """Each retention period has its block, which reads back; a writer given up leaves no files."""
    catalogue = Catalogue.open(tmp_path)
    windows = fold_raw([batch_of(series=3)], TIERS)[1]
    writer = RetentionSplitter(tmp_path, catalogue, TIERS[1], 1, Thirds())
    writer.write(windows)
    blocks = writer.finish(7)
    assert sorted(block.kind for block in blocks) == ["5m", "5m~30d"]
    for block in blocks:
        rows = sum(len(batch) for batch in read_tier_block(tmp_path, block, None, *ALWAYS))
        assert (rows, block.last_lsn) == (block.rows, 7)
    given_up = RetentionSplitter(tmp_path, catalogue, TIERS[1], 1, None)
    given_up.write(windows)
    given_up.discard()
    assert len(list((tmp_path / "blocks").iterdir())) == 2
    catalogue.close()
