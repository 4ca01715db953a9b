"""nissa files: paths of the Parquet files there are."""

from pathlib import Path

from pyarrow import parquet
from typer.testing import CliRunner

from nissa.cli.main import app

RUNNER = CliRunner()


def listed(directory: Path, *arguments: str) -> list[str]:
    """Lines that ``nissa files`` prints."""
    result = RUNNER.invoke(app, ["files", str(directory), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_files_that_are_printed_can_be_read(directory: Path) -> None:
    """Files are listed by kind; a selector leaves out files without its series."""
    (raw,) = listed(directory)
    assert sorted(parquet.read_table(raw)["value"].to_pylist()) == [9.25, 21.5]
    assert listed(directory, "--match", 'temperature{room="kitchen"}') == [raw]
    assert listed(directory, "--match", 'temperature{room="attic"}') == []
    assert listed(directory, "--end", "1970-01-02T00:00:00Z") == []
    (series,) = listed(directory, "--kind", "series")
    assert set(parquet.read_table(series)["name"].to_pylist()) >= {"temperature"}


def test_an_unknown_kind_is_refused(directory: Path) -> None:
    """An unknown kind is refused with exit code 2."""
    assert RUNNER.invoke(app, ["files", str(directory), "--kind", "hourly"]).exit_code == 2
