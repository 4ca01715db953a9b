"""nissa pin: set, shown and removed in a directory."""

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()
GOLDEN = Path(__file__).parents[1] / "goldens" / "directory-1"


def listed(directory: Path) -> list[dict[str, object]]:
    """Rows that ``nissa pin list --json`` prints."""
    result = RUNNER.invoke(app, ["pin", "list", str(directory), "--json"])
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_pins_come_and_go(directory: Path) -> None:
    """A pin is listed with its range and name until it is removed."""
    assert listed(directory) == []
    added = RUNNER.invoke(app, ["pin", "add", "2026-01-01T08:00:00Z", "1767261600", str(directory), "--name", "outage"])
    assert added.exit_code == 0, added.stdout
    (pin,) = listed(directory)
    assert (pin["from"], pin["name"]) == ("2026-01-01 08:00:00.000Z", "outage")
    assert added.stdout == f"pin {pin['pin']}\n"
    assert RUNNER.invoke(app, ["pin", "remove", str(pin["pin"]), str(directory)]).exit_code == 0
    assert RUNNER.invoke(app, ["pin", "remove", str(pin["pin"]), str(directory)]).exit_code == 2
    assert listed(directory) == []


def test_what_cannot_be_pinned_is_refused(directory: Path, tmp_path: Path) -> None:
    """A range that ends before it begins, a directory that is none, one of an older format."""
    assert RUNNER.invoke(app, ["pin", "add", "20", "10", str(directory)]).exit_code == 2
    assert RUNNER.invoke(app, ["pin", "add", "10", "20", str(tmp_path / "none")]).exit_code == 2
    shutil.copytree(GOLDEN, tmp_path / "old")
    assert RUNNER.invoke(app, ["pin", "add", "10", "20", str(tmp_path / "old")]).exit_code == 1
    assert listed(tmp_path / "old") == []
