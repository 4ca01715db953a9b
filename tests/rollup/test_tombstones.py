"""Windows under deletions: which go, which are computed again, which stay."""

from pathlib import Path

import numpy as np
import pytest
from catalogue.test_catalogue import block

from nissa.catalogue.catalogue import TierRow
from nissa.model.ladder import DEFAULT_TIERS, Tier
from nissa.model.units import HOUR_MS, MINUTE_MS
from nissa.rollup.tombstones import decided_starts, deleted_starts, done, kind_below, starts_inside, windows_again
from nissa.store.quarantine import QuarantineRow
from nissa.store.read import Snapshot
from nissa.store.tombstones import Tombstone

ALWAYS = (-(2**63), 2**63 - 1)
M = MINUTE_MS


def snapshot_of(*tombstones: Tombstone, expired: dict[str, int] | None = None, **changes: object) -> Snapshot:
    """The default ladder, written far ahead."""
    rows = tuple(TierRow(tier, 10_000 * HOUR_MS, 1) for tier in DEFAULT_TIERS)
    return Snapshot(Path(), tiers=rows, tombstones=tombstones, expired=expired or {}, **changes)  # type: ignore[arg-type]


def tombstone(start_ms: int, end_ms: int) -> Tombstone:
    """A tombstone of series 2 and 4."""
    return Tombstone(1, start_ms, end_ms, 5, 0, np.array([2, 4], np.uint32))


@pytest.mark.parametrize(
    ("span", "whole", "partly_gone"),
    [  # in 1m: all below is there; all up to minute 12 has expired
        ((10 * M, 20 * M), (10 * M, 20 * M), (10 * M, 20 * M)),
        ((10 * M + 1, 20 * M), (10 * M, 20 * M), (11 * M, 20 * M)),
        ((10 * M, 20 * M + 1), (10 * M, 21 * M), (10 * M, 21 * M)),
        ((10 * M + 1, 20 * M - 1), (10 * M, 20 * M), (11 * M, 20 * M)),
        ((10 * M + 1, 10 * M + 9), (10 * M, 11 * M), (11 * M, 11 * M)),
        ((13 * M + 1, 13 * M + 9), (13 * M, 14 * M), (13 * M, 14 * M)),
        ((10 * M, 10 * M + 9), (10 * M, 11 * M), (10 * M, 10 * M)),
        (ALWAYS, ALWAYS, ALWAYS),
        ((ALWAYS[0], 5 * M + 1), (ALWAYS[0], 6 * M), (ALWAYS[0], 5 * M)),
        ((-M - 1, ALWAYS[1]), (-2 * M, ALWAYS[1]), (-M, ALWAYS[1])),
    ],
)
def test_windows_covered_in_part_go_by_what_is_left_below(
    span: tuple[int, int], whole: tuple[int, int], partly_gone: tuple[int, int]
) -> None:
    """Windows inside always go; those at the ends while all they are made of is there."""
    assert deleted_starts(snapshot_of(), 0, tombstone(*span)) == whole
    assert deleted_starts(snapshot_of(expired={"raw": 12 * M, "5m": 99 * HOUR_MS}), 0, tombstone(*span)) == partly_gone
    lost = QuarantineRow("p", "raw", 1, 10 * M, 10 * M, 0, 9, 1, 1, 1, "hit")
    stays = deleted_starts(snapshot_of(missing=(lost,)), 0, tombstone(10 * M + 1, 20 * M + 1))
    assert stays == (11 * M, 21 * M)


def test_each_tier_looks_at_what_lies_below_it() -> None:
    """Samples under the first two, then the tier below; policies keep some of a tier's windows apart."""
    tiers = list(DEFAULT_TIERS)
    assert [kind_below(tiers, place) for place in range(4)] == ["raw", "raw", "5m", "1h"]
    deletion = tombstone(30 * M, 90 * M)
    found = [deleted_starts(snapshot_of(expired={"raw": HOUR_MS, "1m": 9**15}), place, deletion) for place in range(3)]
    assert found == [(30 * M, 90 * M), (30 * M, 90 * M), (0, 2 * HOUR_MS)]
    assert deleted_starts(snapshot_of(expired={"5m~30d": 0}), 2, deletion) == (HOUR_MS, 2 * HOUR_MS)


def test_only_written_windows_covered_in_part_are_computed_again() -> None:
    """Of the series asked for, in the range asked for, before the tier's end; not once the ladder has decided."""
    deletion = tombstone(10 * M + 1, 20 * M + 1)
    snapshot = snapshot_of(deletion)
    row = snapshot.tiers[0]

    def found(series: list[int] | None, span: tuple[int, int], row: TierRow = row) -> list[tuple[list[int], int]]:
        column = None if series is None else np.array(series, np.uint32)
        parts = windows_again(snapshot, row, column, span)
        return [(ids.tolist(), int(starts[0])) for ids, starts in parts]

    assert found(None, ALWAYS) == [([2, 4], 10 * M), ([2, 4], 20 * M)]
    assert found([3, 4], ALWAYS) == [([4], 10 * M), ([4], 20 * M)]
    assert found([3], ALWAYS) == []
    assert found(None, (11 * M, 20 * M)) == []
    assert found(None, ALWAYS, TierRow(row.tier, 20 * M, 1)) == [([2, 4], 10 * M)]
    assert found(None, ALWAYS, TierRow(Tier(7 * M, HOUR_MS), 20 * M, 1)) == []
    decided = decided_starts(snapshot, deletion, ["5m"])
    assert decided["1m"] == (10 * M, 21 * M)
    assert decided["5m"] == (15 * M, 20 * M)
    assert decided["1h"] == (0, HOUR_MS)
    snapshot = snapshot_of(Tombstone(1, 10 * M + 1, 20 * M + 1, 5, 0, deletion.series, decided))
    assert found(None, ALWAYS) == []
    assert starts_inside(snapshot.tombstones[0], "1m") == (10 * M, 21 * M)
    assert starts_inside(snapshot.tombstones[0], "10m") == (20 * M, 20 * M)


def test_a_tombstone_is_done_when_it_covers_no_block() -> None:
    """Samples by its range, windows by the starts that are deleted; not before the ladder has decided."""
    deletion = tombstone(0, 10)
    raw = block(1)
    assert (raw.min_ms, raw.last_lsn <= 5) == (0, True)
    assert done([deletion], [], has_ladder=True) == []
    assert done([deletion], [], has_ladder=False) == [deletion]
    assert done([deletion], [raw], has_ladder=False) == ([] if raw.series_max >= 2 else [deletion])
