"""Sizes follow from the load and the settings, and fit what was measured."""

import msgspec

from nissa.config.tree import Config, Ladder, Series
from nissa.maintenance.sizing import Workload, estimate
from nissa.model.units import DAY_MS, MIB

YEAR_MEASURED_BYTES = 90 * MIB  # bench.year: 1,000 series every 10 s, a year, as docs/performance.md says


def test_a_measured_year_fits() -> None:
    """The disk space that bench.year took is below the estimate, and not below half of it."""
    found = estimate(Workload(100, 1_000), Config())
    kept = sum(need.amount for need in found.disk if need.part in ("raw", "1m", "5m", "1h", "1d"))
    assert kept / 2 < YEAR_MEASURED_BYTES < kept


def test_everything_grows_with_the_load() -> None:
    """Cores, memory and disk of ten times the load are larger, and the parts add up."""
    small, large = (estimate(Workload(rate, rate * 10, rate, rate / 10), Config()) for rate in (100_000, 1_000_000))
    for name, total in small.totals.items():
        assert large.totals[name] > total
    assert small.totals["disk_bytes"] == sum(need.amount for need in small.disk)


def test_settings_count() -> None:
    """Longer retention takes more disk, no ladder takes less, and limits that would refuse the load are named."""
    load, config = Workload(1_000_000, 2_000_000), Config()
    ladder = Ladder(tiers=(), raw_retention_ms=DAY_MS)
    without = estimate(load, msgspec.structs.replace(config, ladder=ladder))
    assert {need.part for need in estimate(load, config).disk} - {need.part for need in without.disk} == {
        *("1m", "5m", "1h", "1d")
    }
    assert {need.part: need.amount for need in without.disk}["raw"] == 1_000_000 * 86_400 * 0.9
    assert set(estimate(load, config).settings) == {"series.active_max", "storage.journal_size_max"}
    roomy = msgspec.structs.replace(config, series=Series(active_max=5_000_000))
    assert "series.active_max" not in estimate(load, roomy).settings
