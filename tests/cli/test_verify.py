"""nissa verify: sound directories pass, damage is named with its file."""

from pathlib import Path

from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


def test_a_sound_directory_is_ok(directory: Path) -> None:
    """Exit code 0 and what was checked."""
    result = RUNNER.invoke(app, ["verify", str(directory)])
    assert result.exit_code == 0, result.stdout
    assert result.stdout.startswith("ok: ")


def test_one_flipped_bit_in_a_block_is_found(directory: Path) -> None:
    """Exit code 1 and the block's name."""
    block = next((directory / "blocks").glob("raw-*.parquet"))
    data = bytearray(block.read_bytes())
    data[len(data) // 2] ^= 1
    block.write_bytes(data)
    result = RUNNER.invoke(app, ["verify", str(directory)])
    assert result.exit_code == 1
    assert block.name in result.stdout
    assert "damaged: " in result.stdout


def test_a_missing_block_is_found(directory: Path) -> None:
    """What the catalogue names and the disk lacks is damage."""
    next((directory / "blocks").glob("raw-*.parquet")).unlink()
    result = RUNNER.invoke(app, ["verify", str(directory)])
    assert result.exit_code == 1
    assert "missing" in result.stdout
