"""nissa-ingest: errors of the command line before the service begins, and modules that must not be loaded for them."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nissa import __version__
from nissa.cli.ingest import app

RUNNER = CliRunner()


def test_version_is_told() -> None:
    """--version answers without starting anything."""
    assert RUNNER.invoke(app, ["--version"]).stdout == f"nissa {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["--durability", "maybe"], "storage.durability"),
        (["--ingest", "here"], "ingest.listen"),
        (["--api", "127.0.0.1:99999"], "api.listen"),
        (["--data-dir", " "], "storage.data_dir"),
    ],
)
def test_bad_settings_refuse_to_start_by_path(arguments: list[str], path: str) -> None:
    """Exit code 2 and the dotted path; nothing is created."""
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 2
    assert f"nissa-ingest: {path}: " in result.stderr


def test_a_bad_file_refuses_to_start(tmp_path: Path) -> None:
    """The same for the settings file."""
    path = tmp_path / "nissa.yaml"
    path.write_text("storage: {durabilty: os}")
    result = RUNNER.invoke(app, ["--config", str(path)])
    assert result.exit_code == 2
    assert "storage.durabilty: unknown setting" in result.stderr


def test_the_service_loads_no_library_that_receiving_does_not_need() -> None:
    """Start-up is promised: pyarrow, fastapi and their kind are not imported before the daemon is ready."""
    program = """
import sys
import nissa.cli.ingest, nissa.service.daemon
print(sorted({"pyarrow", "fastapi", "uvicorn", "pandas", "duckdb"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stdout == "[]\n", result.stderr
