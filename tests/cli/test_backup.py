"""nissa backup: lists what is there, and says where nothing is."""

from pathlib import Path

from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


def test_a_backup_is_listed(directory: Path, tmp_path: Path) -> None:
    """By its id, with its files."""
    place = tmp_path / "backups"
    made = RUNNER.invoke(app, ["backup", str(place), str(directory)])
    assert made.exit_code == 0, made.output
    listed = RUNNER.invoke(app, ["backup", "--list", str(place)])
    assert listed.stdout.startswith("backups (1)")
    assert made.stdout.split()[1].rstrip(":") in listed.stdout


def test_a_mistyped_folder_is_no_empty_one(tmp_path: Path) -> None:
    """``--list`` fails and names it; a folder without backups has none."""
    result = RUNNER.invoke(app, ["backup", "--list", str(tmp_path / "nowhere")])
    assert result.exit_code != 0
    assert "nowhere: no such file or directory" in result.output.replace("\n", "")
    assert RUNNER.invoke(app, ["backup", "--list", str(tmp_path)]).stdout.startswith("backups (0)")
