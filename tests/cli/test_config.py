"""nissa config: check accepts a file or names the path at fault; show prints a file that reads back."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nissa.cli.config import app, render
from nissa.config.load import load_config
from nissa.config.tree import Config
from nissa.model.errors import ConfigInvalid

RUNNER = CliRunner()


def test_show_prints_what_config_reads_back(tmp_path: Path) -> None:
    """Every setting survives being shown and read, awkward texts too."""
    overrides = {"storage.data_dir": "a 'b' \"c\": # é\\", "series.active_max": "7", "api.listen": "[::1]:0"}
    config = load_config(overrides=overrides)
    path = tmp_path / "nissa.yaml"
    path.write_text(render(config, changed_only=False))
    assert load_config(path) == config


def test_show_changed_prints_only_what_differs() -> None:
    """--changed is the file an operator would have written."""
    assert render(Config(), changed_only=True) == ""
    overrides = {"series.active_max": "7", "series.idle_ttl": "90m", "storage.segment_size": "65MiB"}
    config = load_config(overrides=overrides)
    shown = "storage:\n  segment_size: 65MiB\nseries:\n  active_max: 7\n  idle_ttl: 90m\n"
    assert render(config, changed_only=True) == shown


def test_check_reads_rule_files(tmp_path: Path) -> None:
    """A rule with a fault is named with its file and line, as a start does."""
    rules = tmp_path / "rules.yaml"
    path = tmp_path / "nissa.yaml"
    path.write_text(f"rules: {{files: [{rules}], shipped: [nissa]}}\nslo: {{shipped: [nissa]}}")
    rules.write_text("groups: [{name: g, rules: [{alert: A, expr: x}]}]")
    assert RUNNER.invoke(app, ["check", str(path)]).exit_code == 0
    rules.write_text("groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]")
    result = RUNNER.invoke(app, ["check", str(path)])
    assert result.exit_code == 2
    assert "rules.yaml, line 1" in result.stderr


def test_check_says_yes(tmp_path: Path) -> None:
    """A good file ends with exit code 0 and how much it changes."""
    path = tmp_path / "nissa.yaml"
    path.write_text("series: {active_max: 7}")
    result = RUNNER.invoke(app, ["check", str(path)])
    assert result.exit_code == 0
    assert result.stdout.startswith("ok: 1 of ")


def test_check_names_the_path_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad file ends with exit code 2 and the dotted path."""
    path = tmp_path / "nissa.yaml"
    path.write_text("series: {active_max: none}")
    result = RUNNER.invoke(app, ["check", str(path)])
    assert result.exit_code == 2
    assert "series.active_max: expected `int`, got 'none'" in result.stderr


BAD_LADDERS = {
    "ladder.tiers[1].interval": "tiers: [{interval: 1m, retention: 1d}, {interval: 90s, retention: 1d}]",
    "ladder.tiers[0].retention": "tiers: [{interval: 1m, retention: 1h}, {interval: 2h, retention: 1d}]",
    "ladder.tiers[0].aggregates[0]": "tiers: [{interval: 1m, retention: 1d, aggregates: [median]}]",
    "ladder.raw_retention": "raw_retention: 1m",
    "ladder.policies[0].match": "policies: [{match: '{'}]",
    "ladder.policies[0].retention": "policies: [{match: up, retention: {3m: 1d}}]",
}


@pytest.mark.parametrize(("path", "text"), BAD_LADDERS.items(), ids=list(BAD_LADDERS))
def test_ladders_that_cannot_be_are_refused(tmp_path: Path, path: str, text: str) -> None:
    """Intervals that do not divide, times shorter than the next window, unknown words: each is named by its path."""
    file = tmp_path / "nissa.yaml"
    file.write_text(f"ladder:\n  {text}\n")
    result = RUNNER.invoke(app, ["check", str(file)])
    assert result.exit_code == 2
    assert f"{path}: " in result.output


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """Passwords in addresses and of scrape entries are hidden; which user and host are not."""
    path = tmp_path / "nissa.yaml"
    path.write_text(
        "sources:\n  oona: {url: 'redis://user:pass@host/0'}\n  nats: {servers: ['nats://u:pass@a', 'nats://b']}\n"
        "  scrape: {scrape_configs: [{job_name: a, basic_auth: {username: u, password: pass}}]}\n"
    )
    result = RUNNER.invoke(app, ["show", str(path), "--changed"])
    assert "pass@" not in result.stdout
    assert "redis://user:<secret>@host/0" in result.stdout
    assert '["nats://u:<secret>@a","nats://b"]' in result.stdout
    assert '{"username":"u","password":"<secret>"}' in result.stdout


def test_a_fault_of_a_scrape_entry_has_its_line(tmp_path: Path) -> None:
    """A name that is no setting is refused with its path and line."""
    path = tmp_path / "nissa.yaml"
    path.write_text("sources:\n  scrape:\n    scrape_configs:\n      - job_name: a\n        job: b\n")
    assert RUNNER.invoke(app, ["check", str(path)]).exit_code == 2
    expected = f"sources.scrape.scrape_configs[0].job: is no setting of Prometheus ({path}, line 5)"
    with pytest.raises(ConfigInvalid) as caught:
        load_config(path)
    assert str(caught.value) == expected
