"""nissa: the commands together."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from nissa import __version__
from nissa.cli.main import app

RUNNER = CliRunner()
COMMANDS = ["export", "events", "series", "replay", "inspect", "verify", "config check", "config show"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_by_example(command: str) -> None:
    """--help has examples that begin with the command itself."""
    told = RUNNER.invoke(app, [*command.split(), "--help"]).stdout
    assert "Examples:" in told
    assert f"nissa {command}" in told


def test_version_is_told() -> None:
    """The version of the package."""
    assert RUNNER.invoke(app, ["--version"]).stdout == f"nissa {__version__}\n"


def test_help_is_light() -> None:
    """Reading help loads neither numpy nor the engine."""
    program = "import sys, nissa.cli.main; print(sorted({'numpy', 'pyarrow', 'nissa.ingest'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stdout == "[]\n", result.stderr
