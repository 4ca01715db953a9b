"""nissa repair: restored and lost files, one line each."""

from pathlib import Path

from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


def test_a_sound_directory(directory: Path) -> None:
    """Exit code 0."""
    result = RUNNER.invoke(app, ["repair", str(directory)])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "ok: 0 files restored or set aside, 0 lost\n"


def test_restored_and_lost(directory: Path) -> None:
    """A segment comes back; a block is lost: exit code 1 until it is dropped."""
    segment = next((directory / "series").iterdir())
    segment.write_bytes(b"")
    block = next((directory / "blocks").glob("raw-*.parquet"))
    block.unlink()
    result = RUNNER.invoke(app, ["repair", str(directory)])
    assert result.exit_code == 1
    assert f"series/{segment.name}: restored from its second copy" in result.stdout
    assert f"blocks/{block.name}: lost: " in result.stdout
    result = RUNNER.invoke(app, ["repair", "--drop-lost", str(directory)])
    assert result.exit_code == 0
    assert f"blocks/{block.name}: dropped" in result.stdout
    assert RUNNER.invoke(app, ["verify", str(directory)]).exit_code == 0
