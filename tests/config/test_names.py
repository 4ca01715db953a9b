"""Names of settings as operators write them, as earlier versions had them, and as the specification has them."""

from pathlib import Path

import pytest

from nissa.config.check import leaves
from nissa.config.load import load_config
from nissa.config.names import ALIASES, quantities, written_path
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid
from nissa.model.ladder import Policy, Tier
from nissa.model.quantity import Unit, write_quantity
from nissa.model.units import DAY_MS, HOUR_MS, MINUTE_MS


@pytest.mark.parametrize("path", sorted(quantities()))
def test_old_names_mean_what_they_meant_and_warn(path: str) -> None:
    """A plain number under the old name and a number with unit under the new one give the same settings."""
    number = quantities()[path]
    value = leaves(Config())[path]
    warnings: list[str] = []
    old = load_config(overrides={path: str(value)}, warn=warnings.append)
    assert len(warnings) == (number.unit is not Unit.COUNT)
    assert all(f"write {written_path(path)}: {write_quantity(value, number.unit)}" in text for text in warnings)
    new = load_config(overrides={written_path(path): write_quantity(value, number.unit)}, warn=pytest.fail)
    assert old == new == Config()


def test_names_have_no_unit() -> None:
    """Only the tree's own names end in a unit."""
    assert not [path for path in map(written_path, quantities()) if path.endswith("_ms") or "bytes" in path]


def test_names_are_unlike_each_other() -> None:
    """No two settings are written alike."""
    assert len({written_path(path) for path in leaves(Config())}) == len(leaves(Config()))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("idle_ttl", "6h"),
        ("idle_ttl_ms", "21600000"),
        ("idle_ttl_ms", "6h"),
        ("idle_ttl_s", "21600"),
        ("idle_ttl_seconds", "21600"),
        ("idle_ttl_minutes", "360"),
        ("idle_ttl_hours", "6"),
    ],
)
def test_a_duration_may_have_its_unit_in_the_name(name: str, text: str) -> None:
    """The same in a variable of the environment and on the command line."""
    assert load_config(environ={f"NISSA_SERIES__{name.upper()}": text}).series.idle_ttl_ms == 6 * HOUR_MS
    assert load_config(overrides={f"series.{name}": text}).series.idle_ttl_ms == 6 * HOUR_MS


def test_the_later_layer_wins_whatever_the_name(tmp_path: Path) -> None:
    """An old name in the environment replaces a new one in the file, and the other way round."""
    path = tmp_path / "nissa.yaml"
    path.write_text("series: {idle_ttl: 6h}\nacceptance: {past_ms: 3600000}\n")
    config = load_config(path, {"NISSA_SERIES__IDLE_TTL_MS": "60000"}, {"acceptance.past": "2h"})
    assert (config.series.idle_ttl_ms, config.acceptance.past_ms) == (MINUTE_MS, 2 * HOUR_MS)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("series: {idle_ttl: 7200000}", "series.idle_ttl", "a duration such as"),
        ("series: {idle_ttl: soon}", "series.idle_ttl", "'soon'"),
        ("series: {idle_ttl: [1h]}", "series.idle_ttl", "got a list"),
        ("series: {idle_ttl: 1h, idle_ttl_ms: 1}", "series.idle_ttl_ms", "set twice"),
        ("series: {idle_ttl: 400d}", "series.idle_ttl", "expected 1s to 365d, got 400d"),
        ("storage: {segment_size: 64m}", "storage.segment_size", "a size such as"),
        ("ladder: {tiers: [{interval: 1m, retention: 1}]}", "ladder.tiers[0].retention", "a duration such as"),
        ("ladder: {policies: [{match: up, retention: {1m: 1}}]}", "ladder.policies[0].retention.1m", "a duration"),
        ("nissa: {series: {idle_ttl: 1h}}\nseries: {idle_ttl: 1h}", "series", "set twice"),
        ("nissa: 7", "nissa", "sections"),
        ("telemetry: {interval: 1s, scrape_interval_s: 1}", "telemetry.interval_s", "set twice"),
        ("telemetry: {retention: {metrics_days: 1}}\nladder: 7", "ladder", "a value"),
    ],
)
def test_what_is_wrong_is_named_as_written(tmp_path: Path, text: str, path: str, words: str) -> None:
    """Units that are missing or wrong, and settings under two names."""
    file = tmp_path / "nissa.yaml"
    file.write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        load_config(file)
    assert caught.value.path == path
    assert words in str(caught.value)


def test_the_specification_s_example_is_read(tmp_path: Path) -> None:
    """Its names and its units, below its word for all sections."""
    file = tmp_path / "nissa.yaml"
    file.write_text(
        "nissa:\n  telemetry:\n    scrape_interval_s: 15\n    retention:\n      metrics_days: 30\n      logs_days: 8\n"
    )
    config = load_config(file, warn=pytest.fail)
    assert config.telemetry.interval_ms == 15_000
    assert (config.ladder.raw_retention_ms, config.storage.events_retention_ms) == (30 * DAY_MS, 8 * DAY_MS)
    page = (Path(__file__).parents[2] / "docs" / "config.md").read_text()
    assert all(f"`{alias}`" in page for alias in ALIASES)


def test_tiers_and_policies_are_written_alike(tmp_path: Path) -> None:
    """Durations in lists have units too; the old names still work."""
    file = tmp_path / "nissa.yaml"
    file.write_text(
        "ladder:\n  tiers: [{interval: 1m, retention_ms: 86400000}]\n  policies: [{match: up, retention: {1m: 36h}}]\n"
    )
    warnings: list[str] = []
    ladder = load_config(file, warn=warnings.append).ladder
    assert ladder.tiers == (Tier(MINUTE_MS, DAY_MS),)
    assert ladder.policies == (Policy("up", {"1m": 36 * HOUR_MS}),)
    assert ["ladder.tiers[0].retention_ms" in text for text in warnings] == [True]
