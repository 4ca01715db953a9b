"""nissa rebuild: a lost catalogue is made again, and the output names the facts lost with it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


def exported(directory: Path) -> str:
    """Everything, as ``nissa export`` writes it."""
    result = RUNNER.invoke(app, ["export", str(directory), "--match", '{__name__=~".+"}'])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_a_lost_catalogue(directory: Path) -> None:
    """Every reading command names the remedy; after it the export is as before."""
    before = exported(directory)
    (directory / "catalogue.sqlite").unlink()
    refused = RUNNER.invoke(app, ["verify", str(directory)])
    assert refused.exit_code == 1
    assert f"nissa rebuild {directory}" in refused.stderr
    result = RUNNER.invoke(app, ["rebuild", str(directory)])
    assert result.exit_code == 0, result.stderr
    assert "not recoverable without the old catalogue: pins" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("rebuilt: ")
    assert exported(directory) == before
    assert RUNNER.invoke(app, ["verify", str(directory)]).exit_code == 0


def test_a_damaged_catalogue_names_the_remedy(directory: Path) -> None:
    """A truncated catalogue is put aside, and the output names the file."""
    content = (directory / "catalogue.sqlite").read_bytes()
    (directory / "catalogue.sqlite").write_bytes(content[: len(content) // 2])
    refused = RUNNER.invoke(app, ["verify", str(directory)])
    assert "nissa rebuild" in refused.stderr
    result = RUNNER.invoke(app, ["rebuild", str(directory)])
    assert result.exit_code == 0, result.stderr
    assert "the old catalogue was moved to catalogue.sqlite.replaced" in result.stdout


@pytest.mark.parametrize("arguments", [["nowhere"], []])
def test_what_is_refused(directory: Path, tmp_path: Path, arguments: list[str]) -> None:
    """A mistyped path; a catalogue that opens, unless it is said to be replaced."""
    where = [str(tmp_path / one) for one in arguments] or [str(directory)]
    assert RUNNER.invoke(app, ["rebuild", *where]).exit_code == 2
    if not arguments:
        assert RUNNER.invoke(app, ["rebuild", "--replace", *where]).exit_code == 0
