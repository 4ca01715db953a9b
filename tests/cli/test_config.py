"""nissa config: check says yes or which path is wrong; show prints what reads back."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nissa.cli.config import app, render
from nissa.config.load import load_config
from nissa.config.tree import Config

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
    config = load_config(overrides={"series.active_max": "7"})
    assert render(config, changed_only=True) == "series:\n  active_max: 7\n"


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
    "ladder.tiers[1].interval_ms": "tiers: [{interval_ms: 60000, kept: 1d}, {interval_ms: 90000, kept: 1d}]",
    "ladder.tiers[0].retention_ms": "tiers: [{interval_ms: 60000, kept: 1h}, {interval_ms: 7200000, kept: 1d}]",
    "ladder.tiers[0].aggregates[0]": "tiers: [{interval_ms: 60000, kept: 1d, aggregates: [median]}]",
    "ladder.raw_retention_ms": "raw_retention_ms: 60000",
    "ladder.policies[0].match": "policies: [{match: '{'}]",
    "ladder.policies[0].retention_ms": "policies: [{match: up, retention_ms: {3m: 86400000}}]",
}


@pytest.mark.parametrize(("path", "text"), BAD_LADDERS.items(), ids=list(BAD_LADDERS))
def test_ladders_that_cannot_be_are_refused(tmp_path: Path, path: str, text: str) -> None:
    """Intervals that do not divide, times shorter than the next window, words nobody knows: each with its path."""
    file = tmp_path / "nissa.yaml"
    for short, long in (("kept", "retention_ms"), ("1d", "86400000"), ("1h", "3600000")):
        text = text.replace(short, long)
    file.write_text(f"ladder:\n  {text}\n")
    result = RUNNER.invoke(app, ["check", str(file)])
    assert result.exit_code == 2
    assert f"{path}: " in result.output
