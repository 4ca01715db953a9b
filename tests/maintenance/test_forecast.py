"""The forecast of the disk."""

import msgspec
import pytest

from nissa.catalogue.catalogue import BlockRow
from nissa.files.names import block_path
from nissa.maintenance.forecast import Forecast, KindRetention, forecast
from nissa.maintenance.space import Space
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS

NOW_MS = 20_000 * DAY_MS
KEPT = {
    "raw": KindRetention(2 * DAY_MS),
    "1h": KindRetention(30 * DAY_MS, HOUR_MS),
    "import": KindRetention(2 * DAY_MS),
}


def block(kind: str, start_ms: int, end_ms: int, size: int) -> BlockRow:
    """A block with rows from ``start_ms`` on, the last one so that its row ends at ``end_ms``; both before now."""
    width_ms = KEPT[kind].width_ms or 1
    times = NOW_MS - start_ms, NOW_MS - end_ms - width_ms
    return BlockRow(1, kind, 0, block_path(kind, 1), 10, *times, 0, 5, 1, 2, NOW_MS, size, 7, b"")


def forecast_of(*blocks: BlockRow, free: int = 10**12) -> Forecast:
    """With 100 bytes of journal and 50 of other files, and a floor of 1,000."""
    return forecast(blocks, KEPT, Space(free, 1_000), NOW_MS, journal_bytes=100, other_bytes=50)


def test_growth_until_retention() -> None:
    """Half a day of samples grows to two days, and stops; bytes of the directory are counted once."""
    found = forecast_of(block("raw", DAY_MS // 2, 0, 1_000))
    (raw,) = found.kinds
    assert (raw.bytes_per_day, raw.steady_bytes, raw.retention_ms) == (2_000, 4_000, 2 * DAY_MS)
    assert (found.total_bytes, found.steady_bytes, found.full_at_ms, found.complete) == (1_150, 4_150, None, True)


def test_the_day_the_disk_is_full() -> None:
    """Growth of several kinds until each reaches its target; the floor stays free."""
    raw, tier = block("raw", DAY_MS, 0, 1_000), block("1h", DAY_MS, 0, 100)
    assert forecast_of(raw, tier, free=1_000 + 550).full_at_ms == NOW_MS + DAY_MS // 2
    # a day later raw has its 2,000 bytes, and the tier goes on with 100 per day
    full_at_ms = forecast_of(raw, tier, free=1_000 + 1_100 + 200).full_at_ms
    assert full_at_ms is not None
    assert full_at_ms == pytest.approx(NOW_MS + 3 * DAY_MS, abs=1)
    assert forecast_of(raw, tier, free=1_000 + 1_000 + 29 * 100 + 1).full_at_ms is None
    assert forecast_of(raw, free=999).full_at_ms == NOW_MS


def test_the_rate_is_that_of_the_last_day() -> None:
    """Rows before it do not count; a block across its beginning counts by its share."""
    old, across = block("raw", 3 * DAY_MS, 2 * DAY_MS, 10**6), block("raw", 2 * DAY_MS, 0, 2_000)
    assert forecast_of(old, across).kinds[0].bytes_per_day == 1_000


def test_what_has_no_rate_is_named() -> None:
    """Young kinds, imports and tiers that the settings no longer have count with what they are."""
    other = of_kind(block("raw", 2 * DAY_MS, 0, 7), "9m")
    found = forecast_of(block("raw", 59 * MINUTE_MS, 0, 10), block("import", 9 * DAY_MS, 8 * DAY_MS, 20), other)
    assert {one.kind: (one.bytes_per_day, bool(one.unknown)) for one in found.kinds} == {
        "raw": (None, True),
        "import": (None, True),
        "9m": (None, True),
    }
    assert (found.complete, found.steady_bytes, found.full_at_ms) == (False, 187, None)


def test_a_tier_is_measured_up_to_its_newest_window() -> None:
    """It is written some time after its windows have ended; samples that stopped long ago have no growth."""
    assert forecast_of(block("1h", 10 * HOUR_MS, 2 * HOUR_MS, 800)).kinds[0].bytes_per_day == 2_400
    assert forecast_of(block("raw", 3 * DAY_MS, 2 * DAY_MS, 800)).kinds[0].bytes_per_day == 0


def of_kind(row: BlockRow, kind: str) -> BlockRow:
    """The same block of another kind."""
    return msgspec.structs.replace(row, kind=kind)
