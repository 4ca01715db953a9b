"""nissa inspect: what stands on disk, for people and programs."""

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from nissa.cli.main import app

GOLDEN = Path(__file__).parents[1] / "goldens" / "directory-3"
RUNNER = CliRunner()


def rows(*arguments: str) -> list[dict[str, object]]:
    """Rows that ``nissa inspect --json`` prints."""
    result = RUNNER.invoke(app, ["inspect", *arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_directory_shows_journal_checkpoint_blocks_and_series(directory: Path) -> None:
    """Every part of a data directory has its rows."""
    found = rows(str(directory))
    kinds = {str(row["kind"]): row for row in found}
    assert {"journal", "checkpoint", "blocks", "series segments"} <= set(kinds)
    assert kinds["checkpoint"]["lsn"] == 2
    assert kinds["blocks"]["rows"] == 2
    assert kinds["series segments"]["rows"] == 2


def test_pins_and_quarantine_are_shown(tmp_path: Path) -> None:
    """Pins, and blocks in quarantine with the damage; a directory without a journal is shown too."""
    shutil.copytree(GOLDEN, tmp_path / "data")
    kinds = {str(row["kind"]): row for row in rows(str(tmp_path / "data"))}
    assert kinds["pins"]["name"] == "outage"
    assert (kinds["quarantine"]["holds"], kinds["quarantine"]["rows"]) == ("raw", 1)
    assert kinds["quarantine"]["damage"] == "hit"


def test_frames_are_listed_behind_an_lsn(directory: Path) -> None:
    """--frames shows codec, source and size of each frame."""
    found = rows(str(directory), "--frames", "--after", "2")
    assert [(row["lsn"], row["codec"], row["source"]) for row in found] == [(3, "nissa_point", "embedded")]


def test_people_get_a_table(directory: Path) -> None:
    """Without --json the output has titles and columns."""
    told = RUNNER.invoke(app, ["inspect", str(directory)]).stdout
    assert "checkpoint (1)" in told
    assert "blocks (1)" in told
