"""nissa delete: in a directory, and where one is in use."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import nissa
from nissa.cli.main import app
from nissa.files.lock import DirectoryLock

RUNNER = CliRunner()


def values(directory: Path) -> list[float]:
    """All temperatures, by series and time."""
    with nissa.open(directory) as data:
        return data.samples("temperature").column("value").to_pylist()


def test_series_are_deleted_from_a_directory(directory: Path) -> None:
    """Sealed samples and those of the journal; without a range all of the series, and no other."""
    assert values(directory) == [21.5, 22.5, 9.25]
    result = RUNNER.invoke(app, ["delete", str(directory), "--match", '{room="kitchen"}', "--start", "1732190001"])
    assert result.exit_code == 0, result.output
    assert values(directory) == [21.5, 9.25]
    assert RUNNER.invoke(app, ["delete", str(directory), "--match", '{room="kitchen"}']).exit_code == 0
    assert RUNNER.invoke(app, ["delete", str(directory), "--match", "unknown"]).exit_code == 0
    assert values(directory) == [9.25]


@pytest.mark.parametrize("options", [[], ["--match", "{"], ["--match", "temperature", "--start", "then"]])
def test_what_is_no_selector_or_time_is_the_operators_fault(directory: Path, options: list[str]) -> None:
    """Exit code 2, and nothing is deleted."""
    assert RUNNER.invoke(app, ["delete", str(directory), *options]).exit_code == 2
    assert len(values(directory)) == 3


def test_a_directory_in_use_is_left_to_its_daemon(directory: Path, tmp_path: Path) -> None:
    """The message names --api; a missing directory, an API that does not answer, and a wrong address are errors."""
    with DirectoryLock(directory):
        result = RUNNER.invoke(app, ["delete", str(directory), "--match", "temperature"])
    assert (result.exit_code, "--api http://HOST:PORT" in result.output) == (1, True)
    assert len(values(directory)) == 3
    assert RUNNER.invoke(app, ["delete", str(tmp_path / "none"), "--match", "temperature"]).exit_code == 2
    api = ["--api", "http://127.0.0.1:9"]
    assert RUNNER.invoke(app, ["delete", "--match", "temperature", *api]).exit_code == 1
    assert RUNNER.invoke(app, ["delete", "--match", "temperature", "--api", "nowhere"]).exit_code == 2
